"""The program in docs/wire.md, as it stands, in the states that first attempts fail in."""

import os
import re
import threading
import time
from pathlib import Path

import pytest
import redis

URL = os.environ["REDIS_URL"]
PAGE = Path(os.environ["CORRAL_WIRE"]).read_text()
PROGRAM = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
made = {}
exec(PROGRAM[0], made)


@pytest.fixture
def raw():
    client = redis.Redis.from_url(URL)
    client.flushall()
    return client


@pytest.fixture(params=[(2, False), (2, True), (3, False), (3, True)], ids=str)
def wire(request):
    protocol, decode = request.param
    return made["Wire"](redis.Redis.from_url(URL, protocol=protocol, decode_responses=decode))


def herd(count, call):
    answers = []

    def one():
        try:
            answers.append(call())
        except Exception as error:
            answers.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=one) for _ in range(count)]
    [thread.start() for thread in threads]
    [thread.join(30) for thread in threads]
    return answers


def becomes(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_there_is_one_program_on_the_page():
    assert len(PROGRAM) == 1


def test_a_herd_builds_once_and_a_hit_builds_nothing(raw, wire):
    builds = []

    def build():
        builds.append(1)
        becomes(lambda: int(raw.info("corral")["corral_waiters"]) == 19)
        return {"é": None}

    assert herd(20, lambda: wire.get_or_build("k", build, 60_000)) == [{"é": None}] * 20
    assert wire.get_or_build("k", build, 60_000) == {"é": None} and builds == [1]


def test_what_cannot_be_encoded_is_an_error_once_and_leaves_no_lease(raw, wire):
    builds = []
    answers = herd(5, lambda: wire.get_or_build("k", lambda: builds.append(1) or {1, 2}, 60_000))
    assert builds == [1] and all("JSON serializable" in answer for answer in answers)
    assert raw.execute_command("CACHE.LEASES") == []


def test_an_old_value_is_served_while_it_is_refreshed(raw, wire):
    raw.execute_command("CACHE.SET", "k", "1", "PX", 1, "SWR", 60_000)
    becomes(lambda: raw.execute_command("CACHE.GET", "k")[0] == b"STALE")
    assert wire.get_or_build("k", lambda: 2, 60_000) == 1
    becomes(lambda: raw.execute_command("CACHE.GET", "k")[:2] == [b"HIT", b"2"])


def test_an_interrupted_build_hands_over(raw, wire):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wire.get_or_build("k", interrupted, 60_000)
    assert wire.get_or_build("k", lambda: 1, 60_000) == 1


def test_an_unknown_state_is_an_error(raw, wire, monkeypatch):
    monkeypatch.setitem(made, "call", lambda *_: [b"MAYBE", b"1", 7])
    with pytest.raises(RuntimeError, match="MAYBE"):
        wire.get_or_build("k", lambda: 1, 60_000)
