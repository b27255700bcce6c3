"""get_or_build for redis-py: one caller builds, everybody else gets the value. Threads share one Corral."""

import random
import time
from dataclasses import dataclass
from threading import Event, Thread

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry


class BuildFailed(Exception):
    """The last build failed, perhaps in another process; the message is its holder's."""


@dataclass
class Corral:
    redis: Redis  # for the holder, so that waiters cannot use up the connections it needs to fill
    parked: Redis  # for GETORLOCK: a parked caller keeps its connection
    fresh: int = 60_000  # all times in ms
    swr: int = 30_000
    sie: int = 300_000
    backoff: int = 1_000
    lease: int = 10_000  # renewed while the build runs, so it need not cover the slowest
    block: int = 2_000
    patience: int = 30_000  # then a caller builds for itself

    @classmethod
    def connect(cls, url, most_waiters=500, **times):
        # redis-py gives a reply up after 5 s, and sends the call again up to ten times. So: a time-out above BLOCK, and no
        # retries, as each would ask for a lease that nobody hears of if its reply is lost as well.
        timeout = times.get("block", cls.block) / 1000 + 3
        parked = Redis.from_url(
            url, max_connections=most_waiters, socket_timeout=timeout, retry=Retry(NoBackoff(), 0)
        )
        return cls(Redis.from_url(url), parked, **times)

    def get_or_build(self, key, build):
        patience_ends = time.monotonic() + self.patience / 1000
        while True:
            state, value, number = self.parked.execute_command(
                "CACHE.GETORLOCK", key, "LEASE", self.lease, "BLOCK", self.block
            )
            if state in (b"HIT", b"STALE"):
                return value
            if state == b"REFRESH":
                Thread(target=self._rebuild, args=(key, number, build)).start()
                return value
            if state == b"LOCK":
                return self._rebuild(key, number, build)
            if state == b"FAIL":
                raise BuildFailed(value.decode(errors="replace"))
            if state == b"PASS" or time.monotonic() > patience_ends:
                return build()  # not stored: not to be shared, or the lease is another's
            time.sleep(random.uniform(0.02, 0.1))  # WAIT: BLOCK ran out, or the server parks nobody just now

    def _rebuild(self, key, token, build):
        built = Event()
        Thread(target=self._renew, args=(key, token, built), daemon=True).start()
        try:
            value = build()
        except Exception as error:
            message = str(error).encode()[:1024]
            verdict = self.redis.execute_command("CACHE.FAIL", key, token, message, "BACKOFF", self.backoff)
            if verdict and verdict[0] == b"STALE":
                return verdict[1]  # the old value may still be served
            raise
        except BaseException:  # interrupted, which says nothing about the source: let the next caller try
            self.redis.execute_command("CACHE.RELEASE", key, token)
            raise
        finally:
            built.set()
        try:  # nil is normal: the key was invalidated, or another took over. The value is good all the same
            self.redis.execute_command(
                "CACHE.FILL", key, token, value, "PX", self.fresh, "SWR", self.swr, "SIE", self.sie
            )
        except RedisError:
            pass  # not stored, out of memory perhaps: no reason to lose what was built
        return value

    def _renew(self, key, token, built):
        while not built.wait(self.lease / 3000):
            try:
                if self.redis.execute_command("CACHE.RENEW", key, token, self.lease) is None:
                    return  # no longer ours
            except RedisError:
                pass  # tried again
