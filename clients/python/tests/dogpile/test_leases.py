"""What dogpile's own suites cannot see: that a mutex is a lease, and what the server was asked."""

import os
import subprocess
import sys
import threading
import time

import pytest
import redis
from dogpile.cache import make_region

URL = os.environ["REDIS_URL"]


@pytest.fixture
def raw():
    client = redis.Redis.from_url(URL)
    client.flushall()
    return client


def region(**arguments):
    return make_region().configure("corral", expiration_time=60, arguments={"url": URL, **arguments})


def becomes(condition):
    end = time.monotonic() + 15
    while not (result := condition()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return result


def herd(calls):
    answers = []
    threads = [threading.Thread(target=lambda call=call: answers.append(call())) for call in calls]
    [thread.start() for thread in threads]
    [thread.join(30) for thread in threads]
    return answers


def test_two_regions_build_once_and_the_waiter_is_parked(raw):
    first, second, builds = region(), region(), []

    def build():
        builds.append(1)
        becomes(lambda: int(raw.info("corral")["corral_waiters"]) == 1)
        return "v"

    answers = herd([lambda ours=ours: ours.get_or_create("k", build) for ours in [first, second] * 5])
    assert answers == ["v"] * 10 and builds == [1]
    assert raw.execute_command("CACHE.LEASES") == []


def test_a_value_that_should_not_be_cached_is_built_by_each_and_held_up_by_none(raw):
    ours = region()
    assert ours.get_or_create("k", lambda: None, should_cache_fn=lambda value: value is not None) is None
    assert raw.execute_command("CACHE.GET", "k")[0] == b"PASS"
    assert ours.get_or_create("k", lambda: "v", should_cache_fn=lambda value: value is not None) == "v"


def test_a_build_that_raises_gives_the_lease_to_the_next(raw):
    ours = region()
    with pytest.raises(OSError):
        ours.get_or_create("k", lambda: (_ for _ in ()).throw(OSError()))
    assert ours.get_or_create("k", lambda: "v") == "v"


def test_an_expired_value_is_rebuilt_by_one_while_the_others_are_served_the_old_one(raw):
    ours, gate, builds = region(), threading.Event(), []
    ours.set("k", "old")

    def build():
        builds.append(1)
        gate.wait(10)
        return "new"

    time.sleep(0.02)
    answers = []
    slow = threading.Thread(target=lambda: answers.append(ours.get_or_create("k", build, expiration_time=0.01)))
    slow.start()
    becomes(lambda: builds)
    assert region().get_or_create("k", build, expiration_time=0.01) == "old"
    gate.set()
    slow.join(10)
    assert answers == ["new"] and builds == [1] and region().get("k") == "new"


def test_many_keys_take_their_leases_by_one_command(raw):
    ours, wanted = region(), ["a", "b", "c", "d"]
    ours.set("b", "B")
    raw.config_resetstat()
    assert ours.get_or_create_multi(wanted, lambda *keys: [key.upper() for key in keys]) == ["A", "B", "C", "D"]
    asked = {name.lower(): row["calls"] for name, row in raw.info("commandstats").items() if "cache." in name.lower()}
    assert (
        asked["cmdstat_cache.mgetorlock"] == 1 and asked.get("cmdstat_cache.getorlock", 0) <= 1
    )  # the first is check()'s
    assert raw.execute_command("CACHE.LEASES") == []
    assert ours.get_multi(wanted) == ["A", "B", "C", "D"]


@pytest.mark.parametrize(
    "call",
    ["get_or_create('k', build)", "get_or_create_multi(['k', 'l', 'm'], build)"],
    ids=["one key", "many keys"],
)
def test_a_killed_process_is_succeeded_at_once(raw, call):
    program = f"""
import sys, time
from dogpile.cache import make_region
region = make_region().configure("corral", expiration_time=60, arguments={{"url": {URL!r}, "corral": {{"lease": 120}}}})
build = lambda *keys: (print("building", flush=True), time.sleep(60))
region.{call}
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"building\n"
    heir = []
    waiting = threading.Thread(target=lambda: heir.append(region().get_or_create("k", lambda: "heir")))
    waiting.start()
    becomes(lambda: int(raw.info("corral")["corral_waiters"]) == 1)
    process.kill()
    waiting.join(10)
    assert heir == ["heir"]
