"""A page in four processes, under a hundred visitors, while things go wrong: the server restarts, the process that
builds is killed with -9, the database fails. Prints what the visitors saw.

usage: page_under_load.py flask [SECONDS]                 of examples/python, in this Python's gunicorn
       page_under_load.py next DIRECTORY [SECONDS]        of examples/node/next-page, built in that directory with the
                                                          shop.mjs of clients/node/tests/slow-shop
CORRAL_SERVER and CORRAL_MODULE as for the tests."""

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

from servers import Server, free_port

ROOT = Path(__file__).resolve().parents[2]
PROCESSES, VISITORS, PAUSE = 4, 100, 0.25


class Flask:
    """gunicorn has one port for all processes, and replaces those that die."""

    path, word = "/report/monday", b"pounds"

    def __init__(self, redis_url, shop, log):
        self.ports = [free_port()]
        environment = os.environ | {
            "REDIS_URL": redis_url,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "examples/python"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]),
            "SHOP_DATABASE": shop,
            "SHOP_SECONDS": "0.5",
        }
        arguments = ["--workers", str(PROCESSES), "--threads", "32", "--bind", f"127.0.0.1:{self.ports[0]}"]
        self._gunicorn = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", *arguments, "flask_page:app"], env=environment, stdout=log, stderr=log
        )

    def tend(self):
        pass

    def stop(self):
        self._gunicorn.terminate()
        self._gunicorn.wait(60)


class Next:
    """A port for each process. Who dies is started again; until then visitors are refused and go to the next one."""

    path, word = "/?city=monday", b"by process"

    def __init__(self, directory, redis_url, shop, log):
        self.ports = [free_port() for _ in range(PROCESSES)]
        self._environment = os.environ | {"REDIS_URL": redis_url, "SHOP": shop, "NEXT_TELEMETRY_DISABLED": "1"}
        self._directory, self._log, self._processes = directory, log, {}
        with sqlite3.connect(shop) as database:
            database.execute("CREATE TABLE orders (city TEXT, product TEXT, pieces INTEGER)")
            database.execute("CREATE TABLE built (day TEXT)")
            rows = (("monday", f"product {n % 97}", n % 5) for n in range(50_000))
            database.executemany("INSERT INTO orders VALUES (?, ?, ?)", rows)
        self.tend()

    def tend(self):
        for port in self.ports:
            process = self._processes.get(port)
            if process is None or process.poll() is not None:
                command = ["node", "node_modules/next/dist/bin/next", "start", "--port", str(port), "-H", "127.0.0.1"]
                self._processes[port] = subprocess.Popen(
                    command, cwd=self._directory, env=self._environment, stdout=self._log, stderr=self._log
                )

    def stop(self):
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            process.wait(60)


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
    def __init__(self, page, number, ends):
        super().__init__(daemon=True)
        self.page, self.number, self.ends, self.seen = page, number, ends, []

    def run(self):
        while time.monotonic() < self.ends:
            began, what = time.monotonic(), "refused"
            for turn in range(len(self.page.ports)):
                what = self.visit(self.page.ports[(self.number + turn) % len(self.page.ports)])
                if what != "refused":
                    break
            self.seen.append((began, what, time.monotonic() - began))
            time.sleep(random.uniform(0.5, 1.5) * PAUSE)

    def visit(self, port):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{self.page.path}", timeout=30) as answer:
                return "ok" if self.page.word in answer.read() else "a page without its values"
        except urllib.error.HTTPError as error:
            return str(error.code)
        except Exception as error:
            reason = getattr(error, "reason", error)
            return "refused" if isinstance(reason, ConnectionRefusedError) else type(reason).__name__


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
    kind, *arguments = sys.argv[1:]
    place = [arguments.pop(0)] if kind == "next" else []
    seconds = float(arguments[0]) if arguments else 60.0
    directory = tempfile.mkdtemp()
    server, shop = Server(), f"{directory}/shop.db"
    log = open(f"{directory}/log", "wb")
    page = {"flask": Flask, "next": Next}[kind](*place, f"redis://127.0.0.1:{server.port}", shop, log)
    try:
        for number in range(len(page.ports)):
            deadline = time.monotonic() + 120
            while (what := Visit(page, number, 0).visit(page.ports[number])) != "ok":
                if time.monotonic() > deadline:
                    raise SystemExit(f"the page does not start: {what}, see {directory}/log")
                time.sleep(0.1)
        database = sqlite3.connect(shop, timeout=30)

        def built():
            return database.execute("SELECT count(*) FROM built").fetchone()[0]

        before, began = built(), time.monotonic()
        visits = [Visit(page, number, began + seconds) for number in range(VISITORS)]
        [visit.start() for visit in visits]

        def say(what):
            print(f"{time.monotonic() - began:5.1f} s  {what}", flush=True)

        time.sleep(seconds * 0.2)
        server.stop()
        time.sleep(2)
        server.start()
        say("the server was away for 2 s, and came back empty")
        time.sleep(seconds * 0.2)
        say(kill_the_builder(server, time.monotonic() + 20))
        page.tend()
        time.sleep(seconds * 0.1)
        page.tend()
        with database:
            database.execute("ALTER TABLE orders RENAME TO hidden")
        time.sleep(8)
        with database:
            database.execute("ALTER TABLE hidden RENAME TO orders")
        say("the database had failed for 8 s")
        [visit.join(60) for visit in visits]

        seen = [one for visit in visits for one in visit.seen]
        took = sorted(seconds for _, what, seconds in seen if what == "ok")
        print(f"{len(seen)} requests in {seconds:g} s: {dict(Counter(what for _, what, _ in seen))}")
        p50, p99 = took[len(took) // 2] * 1e3, took[len(took) * 99 // 100] * 1e3
        print(f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, max {took[-1] * 1e3:.0f} ms")
        print(f"{built() - before} builds; without a cache {len(seen)}")
    finally:
        page.stop()
        server.remove()


main()
