"""A page in four processes, under a hundred visitors, while things go wrong: the server restarts, the process that
builds is killed with -9, the database fails. Prints what the visitors saw.

usage: page_under_load.py flask [SECONDS]                 of examples/python, in this Python's gunicorn
       page_under_load.py symfony AUTOLOAD [SECONDS]      of examples/php, in php-fpm; AUTOLOAD is that of an empty project with
                                                          the package, as clients/php/test makes it
       page_under_load.py rails [SECONDS]                 of examples/ruby, in puma; RUBYLIB has the package
       page_under_load.py next DIRECTORY [SECONDS]        of examples/node/next-page, built in that directory with the
                                                          shop.mjs of clients/node/tests/slow-shop
CORRAL_SERVER and CORRAL_MODULE as for the tests."""

import os
import random
import shutil
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
sys.path.insert(0, str(ROOT / "clients/php/tests"))
PROCESSES, VISITORS, PAUSE = 4, 100, 0.25


class Page:
    """Of a server with one port for all its processes, which it replaces itself."""

    breaks, mends = "ALTER TABLE orders RENAME TO hidden", "ALTER TABLE hidden RENAME TO orders"

    def tend(self):
        pass

    def visit(self, port):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{self.path}", timeout=30) as answer:
                return "ok" if self.word in answer.read() else "a page without its values"
        except urllib.error.HTTPError as error:
            return str(error.code)
        except Exception as error:
            reason = getattr(error, "reason", error)
            return "refused" if isinstance(reason, ConnectionRefusedError) else type(reason).__name__


class SlowShop(Page):
    """The example's page, whose shop takes half a second for a report, counts them, and fails while it is told to."""

    path, word = "/?day=day%203", b"<h1>day 3</h1>"
    breaks, mends = "INSERT INTO broken VALUES (1)", "DELETE FROM broken"

    def slow(self, language, shop, at, lines):
        self.pages = Path(shop).parent / "pages"
        shutil.copytree(ROOT / "examples" / language, self.pages)
        code = next(self.pages.glob("shop.*"))
        begins = code.read_text()
        assert at in begins
        code.write_text(begins.replace(at, at + lines))
        with sqlite3.connect(shop) as database:
            database.execute("PRAGMA journal_mode = wal")
            database.execute("CREATE TABLE built (day TEXT)")
            database.execute("CREATE TABLE broken (yes INTEGER)")


class Symfony(SlowShop):
    def __init__(self, autoload, redis_url, shop, log):
        from fpm import Fpm

        self.slow("php", shop, "public function report(string $day): array\n    {\n", """
        if ($this->database()->query('SELECT 1 FROM broken')->fetch()) { throw new RuntimeException('the database is down'); }
        $this->database()->exec("INSERT INTO built VALUES ('day')");
        usleep(500000);
""")
        program = next(filter(None, map(shutil.which, ["php-fpm", "php-fpm8.4", "php-fpm8.3", "php-fpm8.2", "php-fpm8.1"])))
        self.ports = [0]
        self._fpm = Fpm(program, PROCESSES, {"CORRAL_AUTOLOAD": autoload, "REDIS_URL": redis_url, "SHOP": shop}, log)

    def visit(self, port):
        try:
            status, body = self._fpm.get(self.pages / "symfony_page.php", "day=day%203", silent=False)
        except Exception as error:
            return type(error).__name__
        return str(status) if status != 200 else "ok" if self.word.decode() in body else "a page without its values"

    def stop(self):
        self._fpm.end()


class Rails(SlowShop):
    def __init__(self, redis_url, shop, log):
        self.slow("ruby", shop, "def report(day)\n", """
    raise "the database is down" if database.get_first_row("SELECT 1 FROM broken")

    database.execute("INSERT INTO built VALUES (?)", [day])
    sleep(0.5)
""")
        self.ports = [free_port()]
        environment = os.environ | {"REDIS_URL": redis_url, "SHOP": shop}
        workers = ["--workers", str(PROCESSES), "--preload", "--threads", "8:8"]
        self._puma = subprocess.Popen(
            ["puma", *workers, "--bind", f"tcp://127.0.0.1:{self.ports[0]}", str(self.pages / "rails_page.ru")],
            env=environment, cwd=self.pages, stdout=log, stderr=log,
        )

    def stop(self):
        self._puma.terminate()
        self._puma.wait(60)


class Flask(Page):
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

    def stop(self):
        self._gunicorn.terminate()
        self._gunicorn.wait(60)


class Next(Page):
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
                what = self.page.visit(self.page.ports[(self.number + turn) % len(self.page.ports)])
                if what != "refused":
                    break
            self.seen.append((began, what, time.monotonic() - began))
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
    kind, *arguments = sys.argv[1:]
    place = [arguments.pop(0)] if kind in ("next", "symfony") else []
    seconds = float(arguments[0]) if arguments else 60.0
    directory = tempfile.mkdtemp()
    server, shop = Server(), f"{directory}/shop.db"
    log = open(f"{directory}/log", "wb")
    page = {"flask": Flask, "symfony": Symfony, "rails": Rails, "next": Next}[kind](*place, f"redis://127.0.0.1:{server.port}", shop, log)
    try:
        for number in range(len(page.ports)):
            deadline = time.monotonic() + 120
            while (what := page.visit(page.ports[number])) != "ok":
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
            database.execute(page.breaks)
        time.sleep(8)
        with database:
            database.execute(page.mends)
        say("the database had failed for 8 s")
        [visit.join(60) for visit in visits]

        seen = [one for visit in visits for one in visit.seen]
        for what in {what for _, what, _ in seen} - {"ok"}:
            moments = [began_at - began for began_at, other, _ in seen if other == what]
            print(f"{what}: {len(moments)} from {min(moments):.1f} to {max(moments):.1f} s")
        took = sorted(seconds for _, what, seconds in seen if what == "ok")
        print(f"{len(seen)} requests in {seconds:g} s: {dict(Counter(what for _, what, _ in seen))}")
        p50, p99 = took[len(took) // 2] * 1e3, took[len(took) * 99 // 100] * 1e3
        print(f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, max {took[-1] * 1e3:.0f} ms")
        print(f"{built() - before} builds; without a cache {len(seen)}")
    finally:
        page.stop()
        server.remove()


main()
