#!/usr/bin/env python3
"""Tries a web page of examples/ in three processes under load: /report/DAY takes a second's query, /order/DAY takes an
order and forgets the report, /queries/DAY tells how many queries of that day there were.

usage: pages.py [--order PATH] URL -- COMMAND...      URL of a server that has the module. The command is given REDIS_URL,
                                                      PORT and DATABASE; {port} in it is the port, too. PATH is how an
                                                      order is taken
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable

import processes
from servers import free_port, until

PROCESSES = 3
READERS = 30  # at each of them
DEADLINE = 120.0


def fetched(port: int, path: str, post: bool = False) -> str:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=b"" if post else None)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return str(answer.read().decode())


def listens(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), 1):
        return True


class Pages:
    def __init__(self, command: list[str], url: str, directory: str) -> None:
        self.ports = [free_port() for _ in range(PROCESSES)]
        self.running = []
        for port in self.ports:
            environment = os.environ | {
                "REDIS_URL": url,
                "PORT": str(port),
                "DATABASE": os.path.join(directory, "shop.db"),
            }
            words = [word.replace("{port}", str(port)) for word in command]
            log = open(os.path.join(directory, f"{port}.log"), "wb")
            self.running.append(processes.start(words, env=environment, stdout=log, stderr=log))
        for port in self.ports:
            until(f"a page at port {port}", lambda port=port: listens(port), DEADLINE)

    def herd(self, path: str, begun: threading.Event | None = None) -> list[str | Exception]:
        answers: list[str | Exception] = []

        def read(port: int) -> None:
            try:
                answers.append(fetched(port, path))
            except OSError as error:
                answers.append(error)

        ports = [port for port, process in zip(self.ports, self.running) if process.poll() is None]
        readers = [threading.Thread(target=read, args=(port,)) for port in ports for _ in range(READERS)]
        for reader in readers:
            reader.start()
        if begun is not None:
            begun.set()
        for reader in readers:
            reader.join()
        return answers

    def queries(self, day: str) -> int:
        port = next(port for port, process in zip(self.ports, self.running) if process.poll() is None)
        return int(fetched(port, f"/queries/{day}"))

    def stop(self) -> None:
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.wait()


def same(answers: list[str | Exception], wanted: str) -> None:
    wrong = [answer for answer in answers if isinstance(answer, Exception) or wanted not in answer]
    if wrong:
        raise SystemExit(f"{len(wrong)} of {len(answers)} answers have no {wanted!r}, as {wrong[0]!r}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--order", default="/order/{day}/7")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    command = given.command[1:] if given.command[:1] == ["--"] else given.command
    processes.end_all_when_told()
    with tempfile.TemporaryDirectory() as directory:
        pages = Pages(command, given.url, directory)
        try:
            day = f"monday{os.getpid()}"
            began = time.monotonic()
            same(pages.herd(f"/report/{day}"), "0 orders")
            cold = time.monotonic() - began
            assert pages.queries(day) == 1, f"{pages.queries(day)} queries for one page"
            fetched(pages.ports[0], given.order.format(day=day), post=True)
            same(pages.herd(f"/report/{day}"), " orders")  # with a stale window the old one, while it is built anew
            until("the report knows the order", lambda: "1 orders, 7" in fetched(pages.ports[0], f"/report/{day}"), DEADLINE)
            same(pages.herd(f"/report/{day}"), "1 orders, 7")
            assert pages.queries(day) == 2, f"{pages.queries(day)} queries after an order"
            killed = killed_builder(pages, f"tuesday{os.getpid()}")
            print(
                f"{PROCESSES} processes × {READERS} readers: 1 query, the last answer after {cold:.1f} s; 1 more after an order; "
                f"after kill -9 of the builder {killed}"
            )
        except BaseException:
            for name in os.listdir(directory):
                if name.endswith(".log"):
                    print(f"--- {name}", open(os.path.join(directory, name), errors="replace").read()[-3000:], file=sys.stderr)
            raise
        finally:
            pages.stop()


def killed_builder(pages: Pages, day: str) -> str:
    """The first process is asked alone, so that it builds; then all are, and it is killed."""
    first = threading.Thread(target=lambda: ignored(lambda: fetched(pages.ports[0], f"/report/{day}")))
    first.start()
    until("the build has begun", lambda: int(fetched(pages.ports[1], f"/queries/{day}")) == 1)
    asked = threading.Event()

    def kill() -> None:
        asked.wait()
        time.sleep(0.2)
        pages.running[0].send_signal(signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    answers = pages.herd(f"/report/{day}", asked)
    killer.join()
    first.join()
    served = [answer for answer in answers if not isinstance(answer, Exception)]
    same(served, "0 orders")
    if len(served) < READERS * (PROCESSES - 1):
        raise SystemExit(f"only {len(served)} answers after the builder was killed")
    queries = int(fetched(pages.ports[1], f"/queries/{day}"))
    if queries > 2:
        raise SystemExit(f"{queries} queries, where the dead one's and its heir's were enough")
    return f"{queries} queries, {len(served)} answers"


def ignored(call: Callable[[], object]) -> None:
    try:
        call()
    except OSError:
        pass  # of the process that is killed


if __name__ == "__main__":
    main()
