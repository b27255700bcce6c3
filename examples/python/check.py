"""Runs get_or_build through every state against a server with Corral. usage: check.py sync|asyncio PORT"""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor

import redis

import corral_asyncio
import corral_sync

flavour, port = sys.argv[1], sys.argv[2]
url = f"redis://127.0.0.1:{port}"
raw = redis.Redis.from_url(url)
threads = ThreadPoolExecutor(128)


class Threaded:
    """The thread version, seen from asyncio, so that one set of checks serves both."""

    def __init__(self, **times):
        self.corral = corral_sync.Corral.connect(url, **times)

    async def get_or_build(self, key, build):
        run = asyncio.get_running_loop().run_in_executor
        return await run(threads, self.corral.get_or_build, key, lambda: asyncio.run(build()))


connect = Threaded if flavour == "sync" else lambda **times: corral_asyncio.Corral.connect(url, **times)


class Source:
    """What is expensive: counts its builds, and fails when told to."""

    def __init__(self, takes=0.2, value="v", fails=None, meanwhile=None):
        self.builds, self.takes, self.value, self.fails, self.meanwhile = 0, takes, value, fails, meanwhile

    async def __call__(self):
        self.builds += 1
        await asyncio.sleep(self.takes)
        if self.meanwhile:
            self.meanwhile()
        if self.fails:
            raise OSError(self.fails)
        return self.value.encode()


async def herd(corral, key, source, callers):
    return await asyncio.gather(*(corral.get_or_build(key, source) for _ in range(callers)), return_exceptions=True)


def state(key):
    return raw.execute_command("CACHE.GET", key)


async def becomes(key, wanted):
    for _ in range(500):
        if state(key)[:2] == wanted:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{key} is {state(key)} and did not become {wanted}")


def same(got, wanted):
    assert got == wanted, f"got {got!r}, wanted {wanted!r}"


async def a_herd_builds_once(key):
    source = Source()
    same(await herd(connect(), key, source, 100), [b"v"] * 100)
    same(source.builds, 1)


async def a_fill_elsewhere_wakes_all(key):
    # Who hears of it late finds the value gone, and builds.
    token = raw.execute_command("CACHE.GETORLOCK", key, "LEASE", 60_000)[2]
    asyncio.get_running_loop().call_later(0.3, raw.execute_command, "CACHE.FILL", key, token, "v", "PX", 2000)
    source = Source()
    same(await herd(connect(patience=4000), key, source, 20), [b"v"] * 20)
    same(source.builds, 0)


async def a_stale_value_is_served_while_one_refreshes(key):
    raw.execute_command("CACHE.SET", key, "old", "PX", 1, "SWR", 60_000)
    await becomes(key, [b"STALE", b"old"])
    source = Source(takes=1, value="new")
    same(await herd(connect(), key, source, 20), [b"old"] * 20)
    await becomes(key, [b"HIT", b"new"])
    same(source.builds, 1)


async def a_failure_reaches_all_and_leaves_no_lease(key):
    source, corral = Source(fails="source is down"), connect(backoff=1500)
    same({str(error) for error in await herd(corral, key, source, 20)}, {"source is down"})
    same(source.builds, 1)
    same(state(key)[:2], [b"FAIL", b"source is down"])
    await becomes(key, [b"MISS", None])
    same(await corral.get_or_build(key, Source()), b"v")


async def a_failure_serves_the_old_value_where_there_is_one(key):
    raw.execute_command("CACHE.SET", key, "old", "PX", 1, "SIE", 60_000)
    await becomes(key, [b"STALE", b"old"])
    same(await herd(connect(), key, Source(fails="source is down"), 20), [b"old"] * 20)


async def what_must_not_be_shared_is_built_by_each(key):
    token = raw.execute_command("CACHE.GETORLOCK", key)[2]
    raw.execute_command("CACHE.PASS", key, token)
    source = Source()
    same(await herd(connect(), key, source, 10), [b"v"] * 10)
    same(source.builds, 10)
    same(state(key)[0], b"PASS")


async def a_long_build_keeps_its_lease(key):
    source = Source(takes=6.5)
    same(await herd(connect(lease=3000), key, source, 20), [b"v"] * 20)
    same(source.builds, 1)


async def a_short_block_is_asked_again(key):
    source = Source(takes=0.5)
    same(await herd(connect(block=50), key, source, 20), [b"v"] * 20)
    same(source.builds, 1)


async def patience_ends_in_a_build_that_is_not_stored(key):
    token = raw.execute_command("CACHE.GETORLOCK", key, "LEASE", 60_000)[2]
    same(await connect(block=50, patience=300).get_or_build(key, Source(value="own")), b"own")
    same(state(key)[:2], [b"MISS", None])
    same(raw.execute_command("CACHE.FILL", key, token, "v"), b"OK")


async def a_void_fill_is_normal(key):
    same(await connect().get_or_build(key, Source(meanwhile=lambda: raw.delete(key))), b"v")
    same(state(key)[:2], [b"MISS", None])


async def a_dead_holder_is_succeeded(key):
    raw.execute_command("CACHE.GETORLOCK", key, "LEASE", 300)
    source = Source()
    same(await herd(connect(), key, source, 20), [b"v"] * 20)
    same(source.builds, 1)


async def main():
    checks = (
        a_herd_builds_once,
        a_fill_elsewhere_wakes_all,
        a_stale_value_is_served_while_one_refreshes,
        a_failure_reaches_all_and_leaves_no_lease,
        a_failure_serves_the_old_value_where_there_is_one,
        what_must_not_be_shared_is_built_by_each,
        a_long_build_keeps_its_lease,
        a_short_block_is_asked_again,
        patience_ends_in_a_build_that_is_not_stored,
        a_void_fill_is_normal,
        a_dead_holder_is_succeeded,
    )
    passed = 0
    for check in checks:
        key = f"example:{flavour}:{check.__name__}"
        raw.delete(key)
        try:
            await check(key)
            passed += 1
            print("ok    ", check.__name__)
        except Exception as error:
            print("FAILED", check.__name__, "-", repr(error))
        raw.delete(key)
    print(f"redis-py {redis.__version__}: {passed} of {len(checks)}")
    return passed == len(checks)


sys.exit(0 if asyncio.run(main()) else 1)
