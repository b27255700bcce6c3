"""A dogpile.cache backend, of which the mutex is the lease: who waits is parked in the server and woken by the fill.

    region = make_region().configure("corral", arguments={"url": "redis://127.0.0.1:6379"})

`arguments`: `url` or `client`; `redis_expiration_time` in seconds, as of dogpile's own backend; `corral`: its options.
dogpile decides by itself when a value has expired, and what a failed build means: its caller gets the exception, the
next caller builds. A value that `should_cache_fn` refuses is marked PASS: for a while nobody waits for it."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

from dogpile.cache.api import NO_VALUE, BytesBackend, CacheMutex
from dogpile.util import NameRegistry

from .errors import BuildFailed, Unavailable, WaitTimeout
from .keys import as_bytes
from .leases import Lease
from .options import milliseconds
from .outcomes import log
from .sync import Corral
from .waiting import run

_PASS_MS = 5_000
_PATIENCE = 3_600.0  # dogpile's own locks wait without end


class CorralBackend(BytesBackend):
    def __init__(self, arguments: dict[str, Any]) -> None:
        client = arguments.get("client") or arguments.get("url")
        if client is None:
            raise ValueError("arguments of corral: takes 'url' or 'client'")
        ttl = arguments.get("redis_expiration_time")
        options: Any = {"wait": _PATIENCE} | arguments.get("corral", {})
        self.times: tuple[Any, ...] = ("PX", milliseconds(ttl)) if ttl else ()
        self.corral = Corral(client, **options)
        self.leases: dict[str, Lease] = {}
        self.local_locks = NameRegistry(lambda _: threading.Lock())
        self.seen = threading.local()

    def get_mutex(self, key: str) -> CacheMutex:
        return LeaseMutex(self, key)

    def get_serialized(self, key: str) -> Any:
        return self.get_serialized_multi([key])[0]

    def get_serialized_multi(self, keys: Iterable[str]) -> list[Any]:
        keys = list(keys)
        if not keys:
            return []
        try:
            answers = run(self.corral._engine().server.read_all([as_bytes(key) for key in keys]))
        except Unavailable as outage:
            log.warning("nothing is read: %s", outage)
            answers = [(b"MISS", None, 0)] * len(keys)
        values = [value if state in (b"HIT", b"STALE") else NO_VALUE for state, value, _ in answers]
        # What an acquire that follows in this thread wants to know: is there a value (that has expired, then), and
        # which other keys of the same call will be wanted.
        self.seen.value = {key for key, value in zip(keys, values) if value is not NO_VALUE}
        self.seen.missing = [key for key, value in zip(keys, values) if value is NO_VALUE]
        self.seen.vacant_under_lease = {key for key in self.seen.missing if key in self.leases}
        return values

    def set_serialized(self, key: str, value: bytes) -> None:
        lease = self.leases.pop(key, None)
        engine = self.corral._engine()
        try:
            if lease is not None:
                run(engine.leases.conclude(lease, "CACHE.FILL", value, *self.times))
            else:
                run(engine.server.command("CACHE.SET", as_bytes(key), value, *self.times))
        except Unavailable as outage:
            log.warning("%s is not stored: %s", key, outage)

    def set_serialized_multi(self, mapping: Mapping[str, bytes]) -> None:
        for key, value in mapping.items():
            self.set_serialized(key, value)

    def delete(self, key: str) -> None:
        run(self.corral._engine().server.command("DEL", as_bytes(key)))

    def delete_multi(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.delete(key)

    def acquire(self, key: str, wait: bool) -> bool:
        """False: somebody else builds. True: the lease is here, or nobody is to wait for one (there is a value now, or
        a PASS mark)."""
        engine, call = self.corral._engine(), self.corral._defaults
        batch, self.seen.missing = getattr(self.seen, "missing", []), []
        if len(batch) > 1 and key in batch and not self.corral._library.cluster:
            for lease in run(engine.leases.ask_all([as_bytes(other) for other in batch], call)):
                self._hold(lease.key.decode(), lease)
        if key in self.leases:
            return True
        has_expired = key in getattr(self.seen, "value", ())
        end = time.monotonic() + (call.wait if wait else 0.0)
        while True:
            state, message, number, taken = run(engine.leases.ask(as_bytes(key), call, end, force=has_expired))
            if taken is not None:
                self._hold(key, taken)
                return True
            if state == b"FAIL":
                raise BuildFailed(key, message.decode(errors="replace"), number / 1000)
            if state == b"PASS" or (state == b"HIT" and not has_expired):
                return True
            if not wait:
                return False
            if time.monotonic() >= end:
                raise WaitTimeout(f"{key} was not there within {call.wait:g} s")
            time.sleep(0.05)  # the first version of the module does not park who asks with FORCE

    def _hold(self, key: str, lease: Lease) -> None:
        self.leases[key] = lease
        self.corral._engine().leases.renew(lease, self.corral._defaults.lease)

    def let_go(self, key: str, failing: bool) -> None:
        """dogpile releases in a `finally`. Without an exception and without a set the value was refused, or another
        caller had built it meanwhile, which dogpile saw when it looked again under the lock."""
        lease = self.leases.pop(key, None)
        if lease is None:
            return
        refused = not failing and key in getattr(self.seen, "vacant_under_lease", ())
        verdict = ("CACHE.PASS", "PX", _PASS_MS) if refused else ("CACHE.RELEASE",)
        run(self.corral._engine().leases.conclude(lease, *verdict))


class LeaseMutex(CacheMutex):
    """One lock among the threads of this process, and the key's lease among processes."""

    def __init__(self, backend: CorralBackend, key: str) -> None:
        self._backend = backend
        self._key = key
        self._local = backend.local_locks.get(key)

    def acquire(self, wait: bool = True) -> bool:
        if not self._local.acquire(wait):
            return False
        try:
            held = self._backend.acquire(self._key, wait)
        except Unavailable as outage:
            log.warning("%s is built without the server: %s", self._key, outage)
            return True
        except BaseException:
            self._local.release()
            raise
        if not held:
            self._local.release()
            return False
        return True

    def release(self) -> None:
        self._backend.let_go(self._key, failing=sys.exc_info()[0] is not None)
        self._local.release()

    def locked(self) -> bool:
        return bool(self._local.locked())
