"""A hit through the package beside the bare client's GETORLOCK and GET, in turns, so that what else the machine does hits
all of them; and the hits a second of 200 callers at once, each with a key of its own, beside the bare client's pool.

usage: figures.py URL [CALLS] [SAMPLES]      SAMPLES: of how long the near cache is behind others"""

import asyncio
import random
import statistics
import sys
import threading
import time

import redis
import redis.asyncio

from corral import AsyncCorral, Corral

URL, CALLS = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 2_000
BARE = ("CACHE.GETORLOCK", "figures", "LEASE", 10_000, "TIED", "BLOCK", 2_000)
GET = ("GET", "figures:plain")
ROUNDS = 9
CALLERS = 200


def microseconds(call):
    began = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - began) / CALLS * 1e6


async def microseconds_async(call):
    began = time.perf_counter()
    for _ in range(CALLS):
        await call()
    return (time.perf_counter() - began) / CALLS * 1e6


def by_threads(call):
    """Hits a second of threads that are all there before the first one begins."""
    start = threading.Barrier(CALLERS + 1)

    def caller(key):
        start.wait()
        for _ in range(CALLS // 20):
            call(key)

    threads = [threading.Thread(target=caller, args=(f"figures:{number}",)) for number in range(CALLERS)]
    [thread.start() for thread in threads]
    start.wait()
    began = time.perf_counter()
    [thread.join() for thread in threads]
    return CALLERS * (CALLS // 20) / (time.perf_counter() - began)


async def by_tasks(call):
    async def caller(key):
        for _ in range(CALLS // 20):
            await call(key)

    began = time.perf_counter()
    await asyncio.gather(*(caller(f"figures:{number}") for number in range(CALLERS)))
    return CALLERS * (CALLS // 20) / (time.perf_counter() - began)


def line(name, rounds):
    ratio, of_get = (statistics.median(one[0] / one[other] for one in rounds) for other in (1, 2))
    package, bare, get = (statistics.median(column) for column in zip(*rounds))
    print(
        f"{name:28} package {package:4.0f} µs   bare client: GETORLOCK {bare:4.0f} µs, GET {get:4.0f} µs   "
        f"ratio {ratio:.2f}, {of_get:.2f}"
    )


def at_once(name, package, bare):
    print(f"{name:28} package {package:7,.0f} hits a second   bare client's pool {bare:7,.0f}")


def sync():
    client = redis.Redis.from_url(URL, max_connections=CALLERS)
    cache = Corral(URL, ttl=600)
    cache.get_or_build("figures", lambda: "value")
    client.set("figures:plain", '"value"')
    package, bare = lambda: cache.get_or_build("figures", None), lambda: client.execute_command(*BARE)
    get = lambda: client.execute_command(*GET)  # noqa: E731
    line("redis-py, hit", [tuple(map(microseconds, (package, bare, get))) for _ in range(ROUNDS)])
    named = lambda: cache.get_or_build("figures", None, ttl=60, swr=30)  # noqa: E731
    line("redis-py, hit, two options", [tuple(map(microseconds, (named, bare, get))) for _ in range(ROUNDS)])
    for number in range(CALLERS):
        cache.get_or_build(f"figures:{number}", lambda: "value")
    at_once(
        f"redis-py, {CALLERS} threads",
        by_threads(lambda key: cache.get_or_build(key, None)),
        by_threads(lambda key: client.execute_command("CACHE.GETORLOCK", key, *BARE[2:])),
    )
    near = Corral(URL, ttl=600, local=100, local_ttl=600)
    near.get_or_build("figures", None)
    local = statistics.median(microseconds(lambda: near.get_or_build("figures", None)) for _ in range(ROUNDS))
    print(f"{'near cache, hit':28} {local:.1f} µs: {1e6 / local:,.0f} a second in one thread")


async def asynchronous():
    client = redis.asyncio.Redis.from_url(URL, max_connections=CALLERS)
    cache = AsyncCorral(URL, ttl=600)
    package, bare = lambda: cache.get_or_build("figures", None), lambda: client.execute_command(*BARE)
    get = lambda: client.execute_command(*GET)  # noqa: E731
    await package()
    line(
        "redis.asyncio, hit",
        [tuple([await microseconds_async(call) for call in (package, bare, get)]) for _ in range(ROUNDS)],
    )
    at_once(
        f"redis.asyncio, {CALLERS} tasks",
        await by_tasks(lambda key: cache.get_or_build(key, None)),
        await by_tasks(lambda key: client.execute_command("CACHE.GETORLOCK", key, *BARE[2:])),
    )
    await cache.close()
    await client.aclose()


def staleness(samples):
    """Another process's invalidation and refill, seen by an object with the default local_ttl of 1 s."""
    near, other, behind = Corral(URL, ttl=600, local=100), Corral(URL, ttl=600), []
    for number in range(samples):
        near.get_or_build("figures", lambda: number)
        time.sleep(random.random())
        near.get_or_build("figures", lambda: number)
        other.invalidate("figures")
        began = time.perf_counter()
        other.get_or_build("figures", lambda: f"new {number}")
        while near.get_or_build("figures", lambda: 0) != f"new {number}":
            time.sleep(0.001)
        behind.append((time.perf_counter() - began) * 1000)
    behind.sort()
    print(
        f"near cache behind an INVALIDATE elsewhere: p50 {behind[samples // 2]:.0f} ms, "
        f"p99 {behind[samples * 99 // 100]:.0f} ms"
    )


sync()
if len(sys.argv) > 3:
    staleness(int(sys.argv[3]))
asyncio.run(asynchronous())
