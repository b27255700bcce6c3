"""What a call does in each state. Written once, for threads and for tasks (see waiting.py)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

from .connections import Library
from .errors import CorralError, RecursiveBuild, Stopped, Unavailable, WaitTimeout, carried, text_of, told
from .keys import as_text
from .leases import Lease, Leases, fill_options
from .near import NearCache
from .options import Call, Settings, milliseconds
from .outcomes import Failed, Flight, NotShared, Private, Value, log, teller
from .server import Features, Server
from .waiting import Waiting

Build = Callable[[], Any]


class _Building:
    """A build that this thread or task is in. A task or thread that it began has a copy, and may outlive it."""

    def __init__(self, owner: Engine, key: bytes) -> None:
        self.owner, self.key, self.goes_on = owner, key, True


# Outermost first.
_building: ContextVar[tuple[_Building, ...]] = ContextVar("corral_building", default=())
# Whether it runs in one of the places of degrade_limit: a nested build then needs no other.
_degraded: ContextVar[bool] = ContextVar("corral_degraded", default=False)


class Engine:
    def __init__(self, library: Library, settings: Settings, waiting: Waiting) -> None:
        self.server = Server(library, waiting)
        self._tell = teller(settings.on_event)
        self.leases = Leases(self.server, settings, waiting, self._tell)
        self._settings = settings
        self._codec = settings.serializer
        self._waiting = waiting
        self._flights: dict[tuple[bytes, bool], Flight] = {}
        self._lock = threading.Lock()
        self._degrading = waiting.slots(settings.degrade_limit)
        self._out = False
        self._near = NearCache(settings.local, settings.local_ttl) if settings.local else None

    # --- What callers ask for ---------------------------------------------------------------------------------------

    async def get_or_build(self, key: bytes, build: Build, o: Call, force: bool = False) -> Any:
        around = _building.get()
        if around and any(b.owner is self and b.key == key and b.goes_on for b in around):
            raise RecursiveBuild(f"the build of {as_text(key)} asks for {as_text(key)}, and would wait for itself")
        if self._near is not None and not force:
            data = self._near.get(key)
            if data is not None:
                self._tell("hit", key)
                return self._codec.loads(data)
        deadline = time.monotonic() + o.wait
        while True:
            flight, leads = self._board(key, force)
            if leads:
                try:
                    return await self._lead(flight, key, build, o, deadline, force)
                finally:
                    self._land(key, force, flight)
            if not await self._waiting.wait(flight.done, deadline - time.monotonic()):
                return await self._impatient(key, build, o)
            outcome = flight.outcome
            if isinstance(outcome, Value):
                return self._codec.loads(outcome.data)
            if isinstance(outcome, Failed):
                raise outcome.error(key)
            if isinstance(outcome, Private):
                return await self._alone(key, build)

    async def invalidate(self, keys: Sequence[bytes]) -> None:
        self._forget(keys)
        try:
            await self.server.invalidate(keys)
        finally:
            self._forget(keys)

    async def invalidate_tags(self, tags: Sequence[bytes], swr: float | None) -> None:
        self._forget(None)
        try:
            await self.server.invalidate_tags(tags, None if swr is None else round(swr * 1000))
        finally:
            self._forget(None)

    async def outdate(self, key: bytes, version: int) -> None:
        self._forget([key])
        try:
            await self.server.outdate(key, version)
        finally:
            self._forget([key])

    async def check(self, key: bytes) -> Features:
        return await self.server.features(key, anew=True)

    # --- One flight for each key ------------------------------------------------------------------------------------

    def _board(self, key: bytes, force: bool) -> tuple[Flight, bool]:
        with self._lock:
            flight = self._flights.get((key, force))
            if flight is not None:
                return flight, False
            flight = self._flights[key, force] = Flight(self._waiting.event())
            return flight, True

    def _land(self, key: bytes, force: bool, flight: Flight) -> None:
        with self._lock:
            if self._flights.get((key, force)) is flight:
                del self._flights[key, force]
        flight.done.set()

    def _forget(self, keys: Sequence[bytes] | None) -> None:
        """Who asks after an invalidation must not join a build that began before it."""
        if self._near is not None:
            self._near.drop(keys)
        with self._lock:
            for key, force in list(self._flights):
                if keys is None or key in keys:
                    del self._flights[key, force]

    # --- The one that asks ------------------------------------------------------------------------------------------

    async def _lead(self, flight: Flight, key: bytes, build: Build, o: Call, deadline: float, force: bool) -> Any:
        moment, asked_at = (self._near.moment, time.monotonic()) if self._near is not None else (0, 0.0)
        try:
            state, value, number, lease = await self.leases.ask(key, o, deadline, force)
        except Unavailable as outage:
            if self._settings.degrade == "raise":
                raise
            self._say_out(key, outage)
            return await self._build_without_server(flight, key, build, o, deadline)
        if self._out:
            self._out = False
            log.warning("the server is back")
        if lease is not None:
            if state == b"LOCK" or force:
                return await self._build(lease, flight, build, o, moment)
            self._tell("refresh", key)
            flight.outcome = Value(value)
            await self._refresh(lease, build, o, moment)
            return self._codec.loads(value)
        if state in (b"HIT", b"STALE"):
            self._tell("hit" if state == b"HIT" else "stale", key)
            flight.outcome = Value(value)
            if self._near is not None and state == b"HIT":
                self._near.put(key, value, number / 1000 if number >= 0 else float("inf"), moment, asked_at)
            return self._codec.loads(value)
        if state == b"PASS":
            flight.outcome = Private()
            return await self._alone(key, build)
        if state == b"FAIL":
            flight.outcome = failed = Failed.by(value.decode(errors="replace"), number)
            raise failed.error(key)
        return await self._impatient(key, build, o)  # WAIT: the patience is over. No outcome: the next one asks anew

    # --- Building ---------------------------------------------------------------------------------------------------

    async def _build(self, lease: Lease, flight: Flight, build: Build, o: Call, moment: int) -> Any:
        began = time.monotonic()
        try:
            self.leases.renew(lease, o.lease)
            made = await self._call(lease.key, build)
            shared = not isinstance(made, NotShared)
            data = self._encoded(made if shared else made.value)
            options = fill_options(lease.held.node.features, o, made) if shared else []
        except Exception as error:
            # Also what the serializer refuses: a released lease would have every waiter build it again.
            return await self._failed(lease, flight, error, o)
        except BaseException:  # cancelled or interrupted, which says nothing about the source
            await self.leases.conclude(lease, "CACHE.RELEASE")
            raise
        self._tell("built", lease.key, time.monotonic() - began)
        if shared:
            flight.outcome = Value(data)
            filled_at = time.monotonic()
            stored = await self.leases.conclude(lease, "CACHE.FILL", data, *options)
            if stored is not None and self._near is not None and not callable(o.ttl):
                fresh = float("inf") if o.ttl is None else o.ttl * (1 - o.jitter / 100)
                self._near.put(lease.key, data, fresh, moment, filled_at)
        else:
            flight.outcome = Private()
            await self.leases.conclude(lease, "CACHE.PASS")
        return self._codec.loads(data)

    async def _failed(self, lease: Lease, flight: Flight, error: Exception, o: Call) -> Any:
        own = told(error)
        self._tell("failed", lease.key, error=own)
        message = text_of(own, self._settings.error_text)
        backoff = () if o.backoff is None else ("BACKOFF", milliseconds(o.backoff))
        reply = await self.leases.conclude(lease, "CACHE.FAIL", message.encode(), *backoff)
        state, value, left = reply or (b"", b"", 0)
        if state == b"STALE":
            log.error("the build of %s failed, and its old value is served", as_text(lease.key), exc_info=own)
            flight.outcome = Value(value)
            return self._codec.loads(value)
        flight.outcome = Failed.by(message, left, own)
        raise carried(error)

    async def _refresh(self, lease: Lease, build: Build, o: Call, moment: int) -> None:
        granted_at = time.monotonic()

        async def work() -> None:
            token = _building.set(())  # whoever began it does not wait for it
            try:
                # After long in the queue somebody else may be building, or have built.
                if time.monotonic() - granted_at > o.lease / 3 and not await self.leases.is_live(lease, o.lease):
                    await self.leases.conclude(lease, "CACHE.RELEASE")
                    return
                await self._build(lease, Flight(self._waiting.event()), build, o, moment)
            except Exception as error:
                log.error("refreshing %s failed", as_text(lease.key), exc_info=told(error))
            finally:
                _building.reset(token)

        try:
            self._waiting.in_background(work, self._settings.background_limit, self._settings.background)
        except Exception:  # of the hook, or of a process that can start no thread: the caller has its value
            log.exception("refreshing %s could not be begun", as_text(lease.key))
            await self.leases.conclude(lease, "CACHE.RELEASE")

    async def _build_without_server(self, flight: Flight, key: bytes, build: Build, o: Call, deadline: float) -> Any:
        nested = _degraded.get()
        if not nested and not await self._degrading.enter(deadline - time.monotonic()):
            return await self._impatient(key, build, o)
        token = _degraded.set(True)
        try:
            made = await self._call(key, build)
            shared = not isinstance(made, NotShared)
            data = self._encoded(made if shared else made.value)
        except Exception as error:
            own = told(error)
            self._tell("failed", key, error=own)
            flight.outcome = Failed.by(text_of(own, self._settings.error_text), 0, own)
            raise carried(error)
        finally:
            _degraded.reset(token)
            if not nested:
                self._degrading.leave()
        flight.outcome = Value(data) if shared else Private()
        return self._codec.loads(data)

    async def _alone(self, key: bytes, build: Build) -> Any:
        """Not stored, but decoded from a copy as everybody's is."""
        made = await self._call(key, build)
        return self._codec.loads(self._encoded(made.value if isinstance(made, NotShared) else made))

    def _encoded(self, value: Any) -> bytes:
        try:
            data: Any = self._codec.dumps(value)
        except StopIteration as stop:
            raise Stopped(stop) from stop
        if isinstance(data, str):
            return data.encode()
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"the serializer's dumps returned {type(data).__name__}, not bytes")
        return bytes(data)  # pyright: ignore[reportUnknownArgumentType]

    async def _call(self, key: bytes, build: Build) -> Any:
        mine = _Building(self, key)
        token = _building.set((*_building.get(), mine))
        try:
            return await self._waiting.call(build)
        finally:
            mine.goes_on = False
            _building.reset(token)

    async def _impatient(self, key: bytes, build: Build, o: Call) -> Any:
        if o.on_timeout == "build":
            return await self._alone(key, build)
        inside = [as_text(b.key) for b in _building.get() if b.owner is self and b.goes_on]
        hint = f" while building {' and '.join(inside)}: two builds may be waiting for each other" if inside else ""
        raise WaitTimeout(f"{as_text(key)} was not there within {o.wait:g} s{hint}")

    def _say_out(self, key: bytes, outage: CorralError) -> None:
        if not self._out:
            self._out = True
            log.error("the server is out, values are built here, %d at once: %s", self._settings.degrade_limit, outage)
        self._tell("degraded", key, error=outage)
