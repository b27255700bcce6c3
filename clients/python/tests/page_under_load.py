"""The Flask page of examples/python in four gunicorn processes, under a hundred visitors, while things go wrong: the
server restarts, the worker that builds is killed with -9, the database fails. Prints what the visitors saw.

usage: page_under_load.py [SECONDS]      CORRAL_SERVER and CORRAL_MODULE as for the tests; PAGE=plain has no cache
"""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "clients/conformance"))
from servers import Server  # noqa: E402

SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
VISITORS, PAUSE = 100, 0.25


def pid_of_port(port):
    """Which process has the client's end of a connection."""
    inode = None
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].split(":")[1], 16) == port:
            inode = fields[9]
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(link) == f"socket:[{inode}]":
                return int(link.parts[2])
        except OSError:
            continue
    return None


class Visit(threading.Thread):
    def __init__(self, port, ends):
        super().__init__(daemon=True)
        self.port, self.ends, self.seen = port, ends, []

    def run(self):
        while time.monotonic() < self.ends:
            began = time.monotonic()
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/report/monday", timeout=30) as answer:
                    code = answer.status
            except urllib.error.HTTPError as error:
                code = error.code
            except OSError as error:
                code = type(getattr(error, "reason", error)).__name__
            self.seen.append((began, code, time.monotonic() - began))
            time.sleep(random.uniform(0.5, 1.5) * PAUSE)


def kill_the_builder(server, deadline):
    while time.monotonic() < deadline:
        for lease in server.call("CACHE.LEASES") or []:
            holder = dict(zip(*[iter(dict(zip(*[iter(lease)] * 2))["holder"])] * 2))
            pid = pid_of_port(int(holder["addr"].rsplit(":", 1)[1])) if holder["addr"] else None
            if pid:
                os.kill(pid, signal.SIGKILL)
                return f"killed worker {pid} while it built"
        time.sleep(0.01)
    return "no build to kill was seen"


def main():
    directory = tempfile.mkdtemp()
    server, port = Server(), random.randrange(12000, 32000)
    environment = os.environ | {
        "REDIS_URL": f"redis://127.0.0.1:{server.port}",
        "PYTHONPATH": str(ROOT / "examples/python"),
        "SHOP_DATABASE": f"{directory}/shop.db",
        "SHOP_SECONDS": "0.5",
    }
    log = open(f"{directory}/log", "wb")
    gunicorn = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "gunicorn",
            "--workers",
            "4",
            "--threads",
            "32",
            "--bind",
            f"127.0.0.1:{port}",
            "flask_page:app",
        ],
        cwd=directory,
        env=environment,
        stdout=log,
        stderr=log,
    )
    try:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/report/friday", timeout=5)
                break
            except OSError:
                time.sleep(0.1)
        database = sqlite3.connect(f"{directory}/shop.db")
        built = lambda: database.execute("SELECT count(*) FROM built WHERE day = 'monday'").fetchone()[0]  # noqa: E731
        before, began = built(), time.monotonic()
        visits = [Visit(port, began + SECONDS) for _ in range(VISITORS)]
        [visit.start() for visit in visits]

        time.sleep(SECONDS * 0.2)
        server.stop()
        time.sleep(2)
        server.start()
        print(f"{time.monotonic() - began:5.1f} s  server was away for 2 s, and came back empty")
        time.sleep(SECONDS * 0.2)
        print(f"{time.monotonic() - began:5.1f} s  {kill_the_builder(server, time.monotonic() + 20)}")
        time.sleep(SECONDS * 0.1)
        with database:
            database.execute("ALTER TABLE orders RENAME TO hidden")
        time.sleep(8)
        with database:
            database.execute("ALTER TABLE hidden RENAME TO orders")
        print(f"{time.monotonic() - began:5.1f} s  the database had failed for 8 s")
        [visit.join(60) for visit in visits]

        seen = [one for visit in visits for one in visit.seen]
        took = sorted(seconds for _, code, seconds in seen if code == 200)
        print(f"{len(seen)} requests in {SECONDS:g} s: {dict(Counter(str(code) for _, code, _ in seen))}")
        print(
            f"p50 {took[len(took) // 2] * 1e3:.0f} ms, p99 {took[len(took) * 99 // 100] * 1e3:.0f} ms, "
            f"max {took[-1] * 1e3:.0f} ms"
        )
        print(f"{built() - before} builds; without a cache {len(seen)}")
    finally:
        gunicorn.terminate()
        gunicorn.wait(20)
        server.remove()


main()
