"""Puma with four forked workers, preloaded: the example pages under load.

usage: workers.py PUMA EXAMPLES REDIS_URL [SECONDS]
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "conformance"))

from servers import free_port, until
from workers_under_load import WORKERS, load

PUMA, EXAMPLES, URL = sys.argv[1:4]
SECONDS = float(sys.argv[4]) if len(sys.argv) > 4 else 10.0


class Puma:
    def __init__(self, page: str, directory: str) -> None:
        self.port = free_port()
        environment = os.environ | {"REDIS_URL": URL, "SHOP": str(Path(directory, "shop.sqlite"))}
        command = [*PUMA.split(), "--workers", str(WORKERS), "--preload", "--threads", "4:4", "--quiet"]
        self.process = subprocess.Popen(
            [*command, "--bind", f"tcp://127.0.0.1:{self.port}", str(Path(EXAMPLES, page))], env=environment, start_new_session=True
        )
        until(f"puma shows {page}", self._is_up, 60)

    def _is_up(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError("puma ended")
        return self.get("day=day%200")[0] == 200

    def get(self, query: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/?{query}", timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        finally:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)  # its workers, should it have left one
            except ProcessLookupError:
                pass
            self.process.wait()


def loaded(page: str, directory: str) -> str:
    puma = Puma(page, directory)
    try:
        return load(URL, page, puma.get, SECONDS)
    finally:
        puma.end()


directory = tempfile.mkdtemp(prefix="corral-puma-")
try:
    print("; ".join(loaded(page, directory) for page in ("page.ru", "rails_page.ru")))
finally:
    shutil.rmtree(directory)
