"""A hit through the package beside the bare client's GETORLOCK, in turns, so that what else the machine does hits both.

usage: figures.py URL [CALLS] [SAMPLES]      SAMPLES: of how long the near cache is behind others"""

import asyncio
import random
import statistics
import sys
import time

import redis
import redis.asyncio

from corral import AsyncCorral, Corral

URL, CALLS = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 2_000
BARE = ("CACHE.GETORLOCK", "figures", "LEASE", 10_000, "TIED", "BLOCK", 2_000)
ROUNDS = 9


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


def line(name, pairs):
    ratio = statistics.median(package / bare for package, bare in pairs)
    package, bare = (statistics.median(column) for column in zip(*pairs))
    print(f"{name:28} package {package:6.0f} µs   bare client {bare:6.0f} µs   ratio {ratio:.2f}")


def sync():
    client = redis.Redis.from_url(URL)
    cache = Corral(URL, ttl=600)
    cache.get_or_build("figures", lambda: "value")
    package, bare = lambda: cache.get_or_build("figures", None), lambda: client.execute_command(*BARE)
    line("redis-py, hit", [(microseconds(package), microseconds(bare)) for _ in range(ROUNDS)])
    named = lambda: cache.get_or_build("figures", None, ttl=60, swr=30)  # noqa: E731
    line("redis-py, hit, two options", [(microseconds(named), microseconds(bare)) for _ in range(ROUNDS)])
    near = Corral(URL, ttl=600, local=100, local_ttl=600)
    near.get_or_build("figures", None)
    local = statistics.median(microseconds(lambda: near.get_or_build("figures", None)) for _ in range(ROUNDS))
    print(f"{'near cache, hit':28} {local:.1f} µs: {1e6 / local:,.0f} a second in one thread")


async def asynchronous():
    client = redis.asyncio.Redis.from_url(URL)
    cache = AsyncCorral(URL, ttl=600)
    package, bare = lambda: cache.get_or_build("figures", None), lambda: client.execute_command(*BARE)
    await package()
    line(
        "redis.asyncio, hit",
        [(await microseconds_async(package), await microseconds_async(bare)) for _ in range(ROUNDS)],
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
