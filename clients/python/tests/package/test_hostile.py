"""What nobody should do, and somebody does."""

import asyncio
import datetime
import threading
import time

import pytest
from conftest import becomes

from corral import AsyncCorral, BuildFailed, Corral


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no text")


@pytest.mark.parametrize("error", [ValueError("\udcff"), Mute()], ids=["surrogate", "mute"])
def test_an_exception_of_which_no_text_can_be_made_ends_the_lease(url, raw, error):
    def build():
        raise error

    with Corral(url, wait=1) as cache:
        with pytest.raises(type(error)):
            cache.get_or_build("k", build)
        assert raw.execute_command("CACHE.LEASES") == []
        with pytest.raises(BuildFailed):
            cache.get_or_build("k", lambda: 1)


class NoText:
    def dumps(self, value):
        return next(iter(()))

    def loads(self, data):
        return data


@pytest.mark.parametrize("degraded", [False, True], ids=["stored", "without the server"])
@pytest.mark.parametrize("error", [StopIteration(7), StopAsyncIteration(7)], ids=repr)
def test_a_build_may_raise_what_ends_an_iteration(url, raw, error, degraded, caplog):
    def build():
        raise error

    with Corral("redis://127.0.0.1:1" if degraded else url, sie=60, swr=60) as cache:
        with pytest.raises(type(error)) as raised:
            cache.get_or_build("k", build)
        assert raised.value is error
        if degraded:
            return
        with pytest.raises(BuildFailed, match=f"{type(error).__name__}: 7"):
            cache.get_or_build("k", lambda: 1)
        raw.execute_command("CACHE.SET", "s", "1", "PX", 1, "SWR", 60_000, "SIE", 60_000)
        becomes(lambda: raw.execute_command("CACHE.GET", "s")[0] == b"STALE")
        assert cache.get_or_build("s", build) == 1
        assert becomes(lambda: [r for r in caplog.records if r.exc_info and r.exc_info[1] is error])
        with Corral(url, serializer=NoText()) as mute, pytest.raises(StopIteration):
            mute.get_or_build("n", lambda: 1)
        assert raw.execute_command("CACHE.LEASES") == []


def test_in_asyncio_a_stop_iteration_arrives_as_the_language_has_it_leave_a_coroutine(url, raw):
    async def build():
        raise StopIteration(7)

    async def ends():
        raise StopAsyncIteration

    def plain():
        raise StopIteration(7)

    async def main():
        async with AsyncCorral(url) as cache:
            for key, function in ("k", build), ("p", plain):
                with pytest.raises(RuntimeError, match="coroutine raised StopIteration") as raised:
                    await cache.get_or_build(key, function)
                assert raised.value.__cause__.value == 7
            with pytest.raises(StopAsyncIteration):
                await cache.get_or_build("e", ends)

    asyncio.run(main())
    assert raw.execute_command("CACHE.LEASES") == []


def test_a_task_that_a_build_began_may_ask_for_its_key_when_it_is_over(url, raw):
    async def main():
        async with AsyncCorral(url, ttl=60) as cache:
            over, began = asyncio.Event(), []

            async def later():
                await over.wait()
                return await cache.get_or_build("k", lambda: 2)

            async def build():
                began.append(asyncio.create_task(later()))
                return 1

            await cache.get_or_build("k", build)
            over.set()
            return await began[0]

    assert asyncio.run(main()) == 1


def test_event_loops_that_were_closed_leave_no_connections(url, raw):
    cache = AsyncCorral(url, ttl=60)
    before = len(raw.client_list())
    for number in range(20):
        asyncio.run(cache.get_or_build(f"k{number}", lambda: 1))
    assert becomes(lambda: len(raw.client_list()) <= before + 1)


def test_a_ttl_read_off_the_value_may_be_a_timedelta(url, raw):
    with Corral(url) as cache:
        assert cache.get_or_build("k", lambda: 1, ttl=lambda _: datetime.timedelta(seconds=50)) == 1
        assert 0 < raw.pttl("k") <= 50_000
        with pytest.raises(ValueError, match="ttl"):
            cache.get_or_build("n", lambda: 1, ttl=lambda _: float("nan"))


@pytest.mark.parametrize(
    "option",
    [
        {"tags": 5},
        {"tags": [None]},
        {"tags": [""]},
        {"tags": ["x" * 256]},
        {"tags": [str(n) for n in range(33)]},
        {"version": -1},
        {"version": "x"},
        {"version": True},
        {"group": 5},
        {"wait": lambda: 1},
        {"lease": lambda: 1},
        {"local": "x"},
        {"local": -1},
        {"local_ttl": None},
        {"degrade_limit": "x"},
        {"on_event": 5},
        {"background": 5},
        {"serializer": 5},
    ],
    ids=str,
)
def test_a_wrong_option_is_refused_by_its_name(url, option):
    with pytest.raises(ValueError, match=next(iter(option))):
        Corral(url, **option)


def test_a_serializer_that_makes_no_bytes_fails_the_build(url, raw):
    class Nothing:
        def dumps(self, value):
            return None

        def loads(self, data):
            return data

    with Corral(url, serializer=Nothing()) as cache:
        with pytest.raises(TypeError, match="NoneType, not bytes"):
            cache.get_or_build("k", lambda: 1)
        with pytest.raises(BuildFailed):
            cache.get_or_build("k", lambda: 1)


def test_a_wait_of_centuries_is_none_too_long_for_a_thread(url, raw):
    with Corral(url, wait=1e11) as cache:
        found = []
        building = threading.Event()

        def build():
            building.set()
            becomes(lambda: len(threads) == 2)
            time.sleep(0.1)
            return 1

        threads = [threading.Thread(target=lambda: found.append(cache.get_or_build("k", build)))]
        threads[0].start()
        building.wait(10)
        threads.append(threading.Thread(target=lambda: found.append(cache.get_or_build("k", build))))
        threads[1].start()
        for thread in threads:
            thread.join()
        assert found == [1, 1]


def test_tags_of_a_decorator_may_be_bytes_or_come_from_a_generator(url, raw):
    with Corral(url, ttl=60) as cache:
        built = []

        @cache.cached("k:{n}", tags=(tag for tag in [b"all", "n:{n}"]))
        def value(n):
            built.append(n)
            return n

        value(1)
        cache.invalidate_tags("n:1", swr=0)
        value(1)
        cache.invalidate_tags(b"all", swr=0)
        value(1)
        assert built == [1, 1, 1]


def test_a_refresh_whose_lease_ended_in_the_queue_is_not_built(url, raw):
    with Corral(url, ttl=60, swr=60, background_limit=1, lease=0.3) as cache:
        for key in ("first", "second"):
            cache.get_or_build(key, lambda: "old")
        cache.invalidate("first", "second")
        go, built = threading.Event(), []
        cache.get_or_build("first", lambda: go.wait(10))
        cache.get_or_build("second", lambda: built.append("here"))
        other = Corral(url, ttl=60, swr=60)
        assert becomes(lambda: other.get_or_build("second", lambda: "theirs") == "theirs")
        go.set()
        assert becomes(lambda: not cache._engine()._waiting._workers)
        assert built == []
        other.close()
