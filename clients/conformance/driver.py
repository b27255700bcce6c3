"""A driver process, as the player sees it: calls that are answered later, builds that begin and end."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from typing import Any

import processes


class Call:
    def __init__(self, driver: Driver, number: int) -> None:
        self.driver, self.number = driver, number
        self.answered = threading.Event()
        self.answer: dict[str, Any] = {}


class Builds:
    """Of all drivers, by key."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.begun: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self._moments: list[tuple[float, int]] = []

    def note(self, event: dict[str, Any]) -> None:
        begins = event["event"] == "begun"
        with self._lock:
            (self.begun if begins else self.ended)[event["key"]] += 1
            self._moments.append((event["at"], 1 if begins else -1))

    @property
    def most_at_once(self) -> int:
        """By the drivers' own moments: on a busy machine one driver's lines are read before another's older ones."""
        with self._lock:
            moments = sorted(self._moments)
        return max(itertools.accumulate(change for _, change in moments), default=0)


class Driver:
    def __init__(self, command: list[str], builds: Builds, verbose: bool) -> None:
        self._errors = tempfile.TemporaryFile()
        self._process = processes.start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors)
        self._builds, self._verbose = builds, verbose
        self._calls: dict[int, Call] = {}
        self._lock = threading.Lock()
        self._number = 0
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, request: dict[str, Any]) -> Call:
        with self._lock:
            self._number += 1
            call = self._calls[self._number] = Call(self, self._number)
            line = json.dumps({"id": self._number, **request})
            self._say("->", line)
            try:
                assert self._process.stdin is not None
                self._process.stdin.write(line.encode() + b"\n")
                self._process.stdin.flush()
            except OSError:
                self._lose(call)
        return call

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._say("<-", line.decode().rstrip())
            try:
                message = json.loads(line)
            except ValueError:
                continue  # a library's own print; shown by --verbose
            if "event" in message:
                self._builds.note(message)
                continue
            call = self._calls[message["id"]]
            call.answer = message
            call.answered.set()
        for call in list(self._calls.values()):
            if not call.answered.is_set():
                self._lose(call)

    def _lose(self, call: Call) -> None:
        call.answer = {"error": {"type": "Died", "message": "the driver process ended"}}
        call.answered.set()

    def _say(self, way: str, line: str) -> None:
        if self._verbose:
            print(f"{self._process.pid} {way} {line[:2000]}", file=sys.stderr)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def end(self) -> str:
        """What it said on stderr."""
        self.kill()
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")[-4000:]
