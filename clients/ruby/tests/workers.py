"""Puma with four forked workers, preloaded: the example pages under load.

usage: workers.py PUMA EXAMPLES REDIS_URL [SECONDS]
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import quote

PUMA, EXAMPLES, URL = sys.argv[1:4]
SECONDS = float(sys.argv[4]) if len(sys.argv) > 4 else 10.0
WORKERS, CALLERS = 4, 16


def until(what, condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.05)


def server(*command: str):
    port = int(URL.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        words = b"".join(b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in command)
        connection.sendall(b"*%d\r\n" % len(command) + words)
        return connection.recv(1 << 20).decode(errors="replace")


def free_port() -> int:
    while True:
        port = random.randrange(12000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Puma:
    def __init__(self, page: str, directory: str) -> None:
        self.port = free_port()
        environment = os.environ | {"REDIS_URL": URL, "SHOP": str(Path(directory, "shop.sqlite"))}
        command = [*PUMA.split(), "--workers", str(WORKERS), "--preload", "--threads", "4:4", "--quiet"]
        self.process = subprocess.Popen(
            [*command, "--bind", f"tcp://127.0.0.1:{self.port}", str(Path(EXAMPLES, page))], env=environment, start_new_session=True
        )
        until(f"puma shows {page}", self._is_up)

    def _is_up(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError("puma ended")
        try:
            return self.get("day=day%200")[0] == 200
        except OSError:
            return False

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


def load(page: str, directory: str) -> str:
    """CALLERS callers for SECONDS. What the module counted is what was built; errors are answers other than 200."""
    puma = Puma(page, directory)
    try:
        server("FLUSHALL")
        server("CONFIG", "RESETSTAT")
        answers, errors = [0] * CALLERS, []
        end = time.monotonic() + SECONDS

        def call(number: int) -> None:
            chance = random.Random(number)
            while time.monotonic() < end:
                day = f"day {chance.randrange(7)}"
                try:
                    status, body = puma.get(f"day={quote(day)}")
                    if status != 200 or day not in body:
                        errors.append(f"{status} {body[:300]}")
                except OSError as error:
                    errors.append(repr(error))
                answers[number] += 1

        threads = [threading.Thread(target=call, args=(number,)) for number in range(CALLERS)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        counted = dict(re.findall(r"(corral_\w+):(\S+)", server("INFO", "corral")))
        assert not errors, errors[:3]
        fills, granted = int(counted["corral_fills"]), int(counted["corral_leases_granted"])
        # Seven days, each fresh for a second: at most so many times, and each grant was one fill.
        assert 7 <= fills <= 7 * (SECONDS + 2), fills
        assert granted - fills <= 7, (granted, fills)
        return f"{page}: {sum(answers)} requests in {SECONDS:g} s, {fills} builds, {len(errors)} errors"
    finally:
        puma.end()


directory = tempfile.mkdtemp(prefix="corral-puma-")
try:
    print("; ".join(load(page, directory) for page in ("page.ru", "rails_page.ru")))
finally:
    shutil.rmtree(directory)
