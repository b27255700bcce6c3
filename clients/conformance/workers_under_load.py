"""Callers of an example page that shows seven days, each fresh for a second: for the workers of one language, which its
own test starts and asks (clients/php/tests/workers.py, clients/ruby/tests/workers.py)."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from urllib.parse import quote, urlsplit

from wire import Connection

WORKERS, CALLERS, DAYS = 4, 16, 7


def server_at(url: str) -> Connection:
    return Connection(urlsplit(url).port or 6379)


def load(url: str, page: str, get: Callable[[str], tuple[int, str]], seconds: float) -> str:
    """`get` is given a query, and answers with status and body. What the module counted is what was built; errors are
    answers other than 200."""
    server = server_at(url)
    server.call("FLUSHALL")
    server.call("CONFIG", "RESETSTAT")
    answers, errors = [0] * CALLERS, []
    end = time.monotonic() + seconds

    def call(number: int) -> None:
        chance = random.Random(number)
        while time.monotonic() < end:
            day = f"day {chance.randrange(DAYS)}"
            try:
                status, body = get(f"day={quote(day)}")
                if status != 200 or day not in body:
                    errors.append(f"{status} {body[:300]}")
            except Exception as error:  # in a thread nobody else would hear of it
                errors.append(repr(error))
            answers[number] += 1

    callers = [threading.Thread(target=call, args=(number,)) for number in range(CALLERS)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    counted = dict(line.split(":", 1) for line in server.call("INFO", "corral").splitlines() if ":" in line)
    server.close()
    assert not errors, errors[:3]
    fills, granted = int(counted["corral_fills"]), int(counted["corral_leases_granted"])
    # Each day is fresh for a second: built at most so many times, and each grant was one fill.
    assert DAYS <= fills <= DAYS * (seconds + 2), fills
    assert granted - fills <= DAYS, (granted, fills)
    return f"{page}: {sum(answers)} requests in {seconds:g} s, {fills} builds, no errors"
