"""Several PHP workers as one driver of clients/conformance: each call that comes while others run has a process of its own,
as in php-fpm. With it the scenarios are played that call many times at once and need no one flight for all calls of a process.

usage: workers.py COMMAND...    the command of one worker, as `php driver.php AUTOLOAD phpredis`
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading

COMMAND = sys.argv[1:]
FOR_ALL = ("open", "close", "define", "gate")  # whoever comes later is told them, too
# Nothing renews a lease in PHP, so that it is the longest build. One that waits for its gate waits for hundreds of workers
# to be started, and on a busy machine that takes longer than the 30 s of the package.
LEASE_SECONDS = 300

speaking = threading.Lock()


def say(message: dict) -> None:
    with speaking:
        print(json.dumps(message), flush=True)


class Worker:
    def __init__(self, told: list[dict]) -> None:
        self.busy = 0
        self._answers: dict[int, object] = {}
        self._process = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        threading.Thread(target=self._read, daemon=True).start()
        for request in told:
            self.ask(request, lambda answer: None)

    def ask(self, request: dict, answered) -> None:
        number = next(numbers)
        self._answers[number] = answered
        self._process.stdin.write(json.dumps(request | {"id": number}).encode() + b"\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        for line in self._process.stdout:
            message = json.loads(line)
            if "event" in message:
                say(message)
            else:
                self._answers.pop(message["id"])(message)
        for answered in self._answers.values():
            answered({"error": {"type": "Died", "message": "the worker ended"}})


numbers = itertools.count(1)
workers: list[Worker] = []
told: list[dict] = []
lock = threading.Lock()


def everybody(request: dict, gather) -> None:
    """Answered when all have answered."""
    with lock:
        if request["do"] in FOR_ALL:
            told.append(request)
        asked = workers or [idle()]
        answers: list[dict] = []

        def answered(answer: dict) -> None:
            answers.append(answer)
            if len(answers) == len(asked):
                errors = [one for one in answers if "error" in one]
                say((errors[0] if errors else {"value": gather(answers)}) | {"id": request["id"]})

        for worker in asked:
            worker.ask(request, answered)


def idle() -> Worker:
    for worker in workers:
        if not worker.busy:
            return worker
    workers.append(Worker(told if workers else []))  # the first is made to be told
    return workers[-1]


def one(request: dict) -> None:
    with lock:
        worker = idle()
        worker.busy += 1

    def answered(answer: dict) -> None:
        worker.busy -= 1
        if request["do"] == "hello":
            answer["value"]["has"].append("workers")
            answer["value"]["library"] += ", many workers"
        say(answer | {"id": request["id"]})

    worker.ask(request, answered)


for line in sys.stdin:
    request = json.loads(line)
    if request["do"] == "open":
        request["options"] = {"lease": LEASE_SECONDS} | request["options"]
    if request["do"] in FOR_ALL:
        everybody(request, lambda answers: answers[0].get("value"))
    elif request["do"] == "events":
        everybody(request, lambda answers: [name for answer in answers for name in answer["value"]])
    else:
        one(request)
