"""What a call does in each state. Written once, for threads and for tasks (see waiting.py)."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from .connections import READ_TIMEOUT, SLICE, Library, Link, Node
from .errors import (
    BuildFailed,
    CorralError,
    Kind,
    NoPermission,
    RecursiveBuild,
    Unavailable,
    UnknownAnswer,
    WaitTimeout,
    kind_of,
    text_of,
)
from .keys import as_text
from .near import NearCache
from .options import Call, Settings, milliseconds
from .server import Features, Server
from .waiting import Waiting

log = logging.getLogger("corral")

# The keys that this thread or task is building, outermost first, with the engine they belong to.
_building: ContextVar[tuple[tuple[int, bytes], ...]] = ContextVar("corral_building", default=())
# Whether it runs in one of the places of degrade_limit: a nested build then needs no other.
_degraded: ContextVar[bool] = ContextVar("corral_degraded", default=False)


class NotShared:
    """`return NotShared(value)` from a build: this value is for its caller only, and for a while everybody builds."""

    def __init__(self, value: Any) -> None:
        self.value = value


@dataclass(frozen=True)
class Event:
    """For `on_event`. Names: hit stale refresh built waited failed degraded not_stored."""

    name: str
    key: str
    seconds: float | None = None
    error: BaseException | None = None


@dataclass
class Value:
    data: bytes


@dataclass
class Failed:
    message: str
    again_at: float
    cause: BaseException | None = None


class Private:
    """Each caller builds for itself."""


class Flight:
    """The callers of one key in this process: one asks, the others wait for what it gets. No outcome: ask anew."""

    def __init__(self, done: Any) -> None:
        self.done = done
        self.outcome: Value | Failed | Private | None = None


class Lease:
    def __init__(self, key: bytes, token: int, node: Node, link: Link, waiting: Waiting) -> None:
        self.key, self.token, self.node, self.link = key, token, node, link
        self.ended = waiting.event()
        self.speaking = waiting.slots(1)  # renewal and verdict share the connection


class Engine:
    def __init__(self, library: Library, settings: Settings, waiting: Waiting) -> None:
        self.server = Server(library, waiting)
        self._settings = settings
        self._waiting = waiting
        self._flights: dict[tuple[bytes, bool], Flight] = {}
        self._lock = threading.Lock()
        self._parked = 0
        self._degrading = waiting.slots(settings.degrade_limit)
        self._out = False
        self._near = NearCache(settings.local, settings.local_ttl) if settings.local else None

    # --- What callers ask for ---------------------------------------------------------------------------------------

    async def get_or_build(self, key: bytes, build: Callable[[], Any], o: Call, force: bool = False) -> Any:
        chain = _building.get()
        if (id(self), key) in chain:
            raise RecursiveBuild(f"the build of {as_text(key)} asks for {as_text(key)}, and would wait for itself")
        if self._near is not None and not force:
            data = self._near.get(key)
            if data is not None:
                self._tell("hit", key)
                return self._settings.serializer.loads(data)
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
                return self._settings.serializer.loads(outcome.data)
            if isinstance(outcome, Failed):
                raise self._failure(key, outcome)
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
        (await self.server.features(key)).need("cache.outdate")
        try:
            await self.server.command("CACHE.OUTDATE", key, version)
        finally:
            self._forget([key])

    async def check(self, key: bytes) -> Features:
        return await self.server.features(key)

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

    async def _lead(
        self, flight: Flight, key: bytes, build: Callable[[], Any], o: Call, deadline: float, force: bool
    ) -> Any:
        asked_at = self._near.moment if self._near is not None else 0
        try:
            state, value, number, node, link = await self._ask(key, o, deadline, force)
        except Unavailable as outage:
            if self._settings.degrade == "raise":
                raise
            self._say_out(key, outage)
            return await self._degraded_build(flight, key, build, o, deadline)
        if self._out:
            self._out = False
            log.warning("the server is back")
        if state in (b"LOCK", b"REFRESH"):
            lease = Lease(key, number, node, link, self._waiting)
            if state == b"LOCK" or force:
                return await self._build(lease, flight, build, o, asked_at)
            self._tell("refresh", key)
            flight.outcome = Value(value)
            self._refresh(lease, build, o, asked_at)
            return self._settings.serializer.loads(value)
        await node.give(link)
        if state in (b"HIT", b"STALE"):
            self._tell("hit" if state == b"HIT" else "stale", key)
            flight.outcome = Value(value)
            if self._near is not None and state == b"HIT":
                self._near.put(key, value, number / 1000 if number >= 0 else float("inf"), asked_at)
            return self._settings.serializer.loads(value)
        if state == b"PASS":
            flight.outcome = Private()
            return await self._alone(key, build)
        if state == b"FAIL":
            flight.outcome = Failed(value.decode(errors="replace"), _again_at(number))
            raise self._failure(key, flight.outcome)
        return await self._impatient(key, build, o)  # WAIT: the patience is over, the flight has no outcome

    async def _ask(
        self, key: bytes, o: Call, deadline: float, force: bool
    ) -> tuple[bytes, bytes, int, Node, Link]:
        began = time.monotonic()
        words: list[Any] = ["LEASE", milliseconds(o.lease), "TIED"]
        if force:
            words += ["FORCE", "NOSTALE"]
        if o.group is not None:
            words += ["GROUP", o.group]

        def arguments(node: Node) -> Sequence[Any]:
            if o.group is not None:
                node.features.need("cache.getorlock group")
            left = deadline - time.monotonic()
            if not parks or left <= 0.001:
                return ("CACHE.GETORLOCK", key, *words)
            return ("CACHE.GETORLOCK", key, *words, "BLOCK", milliseconds(min(SLICE, left)))

        while True:
            asked = time.monotonic()
            with self._lock:
                parks = self._parked < self._settings.max_waiting
                self._parked += parks
            try:
                reply, node, link = await self.server.reach(key, arguments, deadline)
            finally:
                with self._lock:
                    self._parked -= parks
            try:
                state, value, number = reply
            except (TypeError, ValueError):
                await link.close()
                raise UnknownAnswer(f"CACHE.GETORLOCK answered {reply!r}") from None
            if state not in (b"HIT", b"STALE", b"REFRESH", b"LOCK", b"WAIT", b"PASS", b"FAIL"):
                await link.close()  # should it be a grant, the tie ends it
                raise UnknownAnswer(f"CACHE.GETORLOCK answered the state {state!r}, which this version does not know")
            now = time.monotonic()
            if state != b"WAIT" or now >= deadline:
                if now - asked > 0.05:
                    self._tell("waited", key, now - began)
                return state, value, number, node, link
            await node.give(link)
            if now - asked < 0.02:  # nobody is parked there just now
                await self._waiting.sleep(min(random.uniform(0.02, 0.1), max(0.0, deadline - now)))

    # --- Building ---------------------------------------------------------------------------------------------------

    async def _build(self, lease: Lease, flight: Flight, build: Callable[[], Any], o: Call, asked_at: int) -> Any:
        key, dumps = lease.key, self._settings.serializer.dumps
        self._waiting.beside(lambda: self._renew(lease, o.lease))
        began = time.monotonic()
        try:
            made = await self._call(key, build)
            shared = not isinstance(made, NotShared)
            data: bytes = dumps(made if shared else made.value)
            options = self._options(lease.node.features, o, made) if shared else ()
        except Exception as error:
            # Also what the serializer refuses: a released lease would have every waiter build it again.
            return await self._failed(lease, flight, error, o)
        except BaseException:  # cancelled or interrupted, which says nothing about the source
            await self._waiting.to_the_end(self._conclude(lease, "CACHE.RELEASE"))
            raise
        self._tell("built", key, time.monotonic() - began)
        flight.outcome = Value(data) if shared else Private()
        stored = await self._waiting.to_the_end(
            self._conclude(lease, "CACHE.FILL", data, *options) if shared else self._conclude(lease, "CACHE.PASS")
        )
        if shared and stored is not None and self._near is not None and not callable(o.ttl):
            self._near.put(key, data, float("inf") if o.ttl is None else o.ttl * (1 - o.jitter / 100), asked_at)
        return self._settings.serializer.loads(data)

    async def _failed(self, lease: Lease, flight: Flight, error: Exception, o: Call) -> Any:
        self._tell("failed", lease.key, error=error)
        message = text_of(error, self._settings.error_text)
        backoff = () if o.backoff is None else ("BACKOFF", milliseconds(o.backoff))
        reply = await self._waiting.to_the_end(self._conclude(lease, "CACHE.FAIL", message.encode(), *backoff))
        if isinstance(reply, list) and reply[0] == b"STALE":
            log.warning("the build of %s failed, and its old value is served: %s", as_text(lease.key), message)
            flight.outcome = Value(reply[1])
            return self._settings.serializer.loads(reply[1])
        flight.outcome = Failed(message, _again_at(reply[2] if isinstance(reply, list) else 0), error)
        raise error

    def _refresh(self, lease: Lease, build: Callable[[], Any], o: Call, asked_at: int) -> None:
        async def work() -> None:
            token = _building.set(())  # whoever began it does not wait for it
            try:
                await self._build(lease, Flight(self._waiting.event()), build, o, asked_at)
            except Exception as error:
                log.error("refreshing %s failed", as_text(lease.key), exc_info=error)
            finally:
                _building.reset(token)

        self._waiting.in_background(work, self._settings.background_limit, self._settings.background)

    async def _degraded_build(
        self, flight: Flight, key: bytes, build: Callable[[], Any], o: Call, deadline: float
    ) -> Any:
        nested = _degraded.get()
        if not nested and not await self._degrading.enter(deadline - time.monotonic()):
            return await self._impatient(key, build, o)
        token = _degraded.set(True)
        try:
            made = await self._call(key, build)
            shared = not isinstance(made, NotShared)
            data: bytes = self._settings.serializer.dumps(made if shared else made.value)
        except Exception as error:
            self._tell("failed", key, error=error)
            flight.outcome = Failed(text_of(error, self._settings.error_text), _again_at(0), error)
            raise
        finally:
            _degraded.reset(token)
            if not nested:
                self._degrading.leave()
        flight.outcome = Value(data) if shared else Private()
        return self._settings.serializer.loads(data)

    async def _alone(self, key: bytes, build: Callable[[], Any]) -> Any:
        """Not stored, but decoded from a copy as everybody's is."""
        made = await self._call(key, build)
        codec = self._settings.serializer
        return codec.loads(codec.dumps(made.value if isinstance(made, NotShared) else made))

    async def _call(self, key: bytes, build: Callable[[], Any]) -> Any:
        token = _building.set((*_building.get(), (id(self), key)))
        try:
            return await self._waiting.call(build)
        finally:
            _building.reset(token)

    async def _impatient(self, key: bytes, build: Callable[[], Any], o: Call) -> Any:
        if o.on_timeout == "build":
            return await self._alone(key, build)
        inside = [as_text(other) for owner, other in _building.get() if owner == id(self)]
        hint = f" while building {' and '.join(inside)}: two builds may be waiting for each other" if inside else ""
        raise WaitTimeout(f"{as_text(key)} was not there within {o.wait:g} s{hint}")

    # --- The lease --------------------------------------------------------------------------------------------------

    async def _renew(self, lease: Lease, seconds: float) -> None:
        while not await self._waiting.wait(lease.ended, seconds / 3):
            if not await lease.speaking.enter(READ_TIMEOUT):
                return
            try:
                if lease.ended.is_set() or not lease.link.usable:
                    return
                if await lease.link.call("CACHE.RENEW", lease.key, lease.token, milliseconds(seconds)) is None:
                    return  # taken over or invalidated; who joined still gets what is being built
            except Exception as error:
                log.warning("the lease of %s could not be renewed: %s", as_text(lease.key), error)
                return
            finally:
                lease.speaking.leave()

    async def _conclude(self, lease: Lease, command: str, *arguments: Any) -> Any:
        """Speaks the verdict over the held connection, or once over another. Whoever built has the value in any case, so
        nothing but a missing right is raised."""
        lease.ended.set()
        alone = await lease.speaking.enter(READ_TIMEOUT)
        try:
            if alone and lease.link.usable:
                try:
                    reply = await lease.link.call(command, lease.key, lease.token, *arguments)
                    await lease.node.give(lease.link)
                    return reply
                except Exception as error:
                    kind = kind_of(error)
                    if kind is Kind.OTHER and command == "CACHE.FILL":  # refused as it stands, so by every next builder too
                        await lease.link.call("CACHE.FAIL", lease.key, lease.token, text_of(error).encode())
                    answered = lease.link.usable
                    await lease.link.close()  # should the lease still be live, the tie ends it
                    if kind is Kind.DENIED:
                        raise NoPermission(f"{lease.node.name}: {error}") from error
                    if answered and kind not in (Kind.MOVED, Kind.AGAIN):
                        raise
            return await self.server.command(command, lease.key, lease.token, *arguments)
        except NoPermission:
            raise
        except Exception as error:
            log.warning("%s %s was not taken: %s", command, as_text(lease.key), error)
            self._tell("not_stored", lease.key, error=error)
            return None
        finally:
            if alone:
                lease.speaking.leave()

    def _options(self, features: Features, o: Call, made: Any) -> Sequence[Any]:
        """What FILL is told, as far as it depends on the value; raised to the build's caller if it is wrong."""
        options: list[Any] = []
        ttl = o.ttl(made) if callable(o.ttl) else o.ttl
        if ttl is not None:
            options += ["PX", milliseconds(ttl)] if ttl > 0 else ["PXAT", 1]  # 0: for those who wait, not to be kept
        for name in ("swr", "sie"):
            if getattr(o, name):
                options += [name.upper(), milliseconds(getattr(o, name))]
        if o.jitter:
            options += ["JITTER", o.jitter]
        tags = o.tags(made) if callable(o.tags) else o.tags
        if tags:
            features.need("cache.fill tags")
            options += ["TAGS", len(tags), *(tag.encode() if isinstance(tag, str) else tag for tag in tags)]
        version = o.version(made) if callable(o.version) else o.version
        if version is not None:
            features.need("cache.fill version")
            options += ["VERSION", version]
        return options

    # --- Telling ----------------------------------------------------------------------------------------------------

    def _failure(self, key: bytes, failed: Failed) -> BuildFailed:
        """A new object for each caller: a traceback belongs to one raise."""
        error = BuildFailed(as_text(key), failed.message, max(0.0, failed.again_at - time.monotonic()))
        error.__cause__ = failed.cause
        return error

    def _say_out(self, key: bytes, outage: CorralError) -> None:
        if not self._out:
            self._out = True
            log.error("the server is out, values are built here, %d at once: %s", self._settings.degrade_limit, outage)
        self._tell("degraded", key, error=outage)

    def _tell(self, name: str, key: bytes, seconds: float | None = None, error: BaseException | None = None) -> None:
        hook = self._settings.on_event
        if hook is None:
            return
        try:
            hook(Event(name, as_text(key), seconds, error))
        except Exception:
            log.exception("on_event raised")


def _again_at(milliseconds_left: int) -> float:
    return time.monotonic() + max(0, milliseconds_left) / 1000
