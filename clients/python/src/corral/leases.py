"""Asking for a key, and what a holder owes: renewal while it builds, one verdict at the end."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from .connections import READ_TIMEOUT, SLICE, Link, Node
from .errors import Kind, NoPermission, UnknownAnswer, kind_of, text_of
from .keys import as_text
from .options import Call, Settings, as_tags, as_version, milliseconds, seconds
from .outcomes import Tell, log
from .server import Features, Server
from .waiting import Waiting

# Seconds. The same in every package: what is shorter may be a busy machine's.
WAIT_WORTH_TELLING = 0.01


class Held:
    """The connection that leases are tied to: one lease, or those that one MGETORLOCK granted."""

    def __init__(self, node: Node, link: Link, waiting: Waiting) -> None:
        self.node, self.link = node, link
        self.process = os.getpid()
        self.speaking = waiting.slots(1)  # renewals and verdicts share it
        self.leases = 0


class Lease:
    def __init__(self, key: bytes, token: int, held: Held, waiting: Waiting) -> None:
        self.key, self.token, self.held = key, token, held
        self.ended = waiting.event()
        held.leases += 1


class Answer(NamedTuple):
    state: bytes
    value: bytes
    number: int
    lease: Lease | None  # with LOCK and REFRESH


class Leases:
    def __init__(self, server: Server, settings: Settings, waiting: Waiting, tell: Tell) -> None:
        self._server, self._settings, self._waiting, self._tell = server, settings, waiting, tell
        self._parked = 0
        self._lock = threading.Lock()

    async def ask(self, key: bytes, o: Call, deadline: float, force: bool = False) -> Answer:
        """One GETORLOCK for a hit. redis-py sends one command at a time over a connection, so that there is no shared
        socket to spare: the connection that asks is the one that is parked, and the one that holds the lease."""
        began = time.monotonic()
        words: list[Any] = ["LEASE", milliseconds(o.lease), "TIED"]
        if force:
            words += ["FORCE", "NOSTALE"]
        if o.group is not None:
            words += ["GROUP", o.group]
        parks = False

        def arguments(node: Node) -> Sequence[Any]:
            if o.group is not None:
                node.features.need("cache.getorlock group")
            left = deadline - time.monotonic()
            if not parks or left <= 0.001:
                if o.group is None:
                    return ("CACHE.GETORLOCK", key, *words)
                left = 0  # not left out: a group may have a longer time to block of its own than there is patience here
            return ("CACHE.GETORLOCK", key, *words, "BLOCK", milliseconds(min(SLICE, left)))

        while True:
            asked = time.monotonic()
            with self._lock:
                parks = self._parked < self._settings.max_waiting
                self._parked += parks
            try:
                reply, node, link = await self._server.reach(key, arguments, deadline)
            finally:
                with self._lock:
                    self._parked -= parks
            try:
                state, value, number = reply
            except (TypeError, ValueError):
                await link.close()
                raise UnknownAnswer(f"CACHE.GETORLOCK answered {reply!r}") from None
            now = time.monotonic()
            if state in (b"LOCK", b"REFRESH"):
                return Answer(state, value, number, Lease(key, number, Held(node, link, self._waiting), self._waiting))
            if state not in (b"HIT", b"STALE", b"WAIT", b"PASS", b"FAIL"):
                await link.close()  # should it be a grant, the tie ends it
                raise UnknownAnswer(f"CACHE.GETORLOCK answered the state {state!r}, which this version does not know")
            await node.give(link)
            if state != b"WAIT" or now >= deadline:
                if now - began > WAIT_WORTH_TELLING:
                    self._tell("waited", key, now - began)
                return Answer(state, value, number, None)
            if now - asked < 0.02:  # nobody is parked there just now
                await self._waiting.sleep(min(random.uniform(0.02, 0.1), max(0.0, deadline - now)))

    async def ask_all(self, keys: Sequence[bytes], o: Call) -> list[Lease]:
        """The leases that one MGETORLOCK grants; the other keys have a value, or somebody builds them."""
        words = ("CACHE.MGETORLOCK", len(keys), *keys, "LEASE", milliseconds(o.lease), "TIED")
        replies, node, link = await self._server.reach(keys[0], lambda _: words, time.monotonic() + o.wait)
        held = Held(node, link, self._waiting)
        granted = [
            Lease(key, number, held, self._waiting)
            for key, (state, _, number) in zip(keys, replies)
            if state in (b"LOCK", b"REFRESH")
        ]
        if not granted:
            await node.give(link)
        return granted

    def renew(self, lease: Lease, seconds: float) -> None:
        """Until the verdict, at a third of the lease."""

        async def work() -> None:
            held = lease.held
            while not await self._waiting.wait(lease.ended, seconds / 3):
                if not await held.speaking.enter(READ_TIMEOUT):
                    return
                try:
                    if lease.ended.is_set() or not held.link.usable:
                        return
                    if await held.link.call("CACHE.RENEW", lease.key, lease.token, milliseconds(seconds)) is None:
                        return  # taken over or invalidated; who joined still gets what is being built
                except Exception as error:
                    log.warning("the lease of %s could not be renewed: %s", as_text(lease.key), error)
                    return
                finally:
                    held.speaking.leave()

        self._waiting.beside(work)

    async def is_live(self, lease: Lease, seconds: float) -> bool:
        """Renews it, if nobody took over."""
        try:
            return await lease.held.link.call("CACHE.RENEW", lease.key, lease.token, milliseconds(seconds)) is not None
        except Exception as error:
            log.warning("the lease of %s could not be renewed: %s", as_text(lease.key), error)
            return False

    async def conclude(self, lease: Lease, command: str, *arguments: Any) -> Any:
        """Speaks the verdict over the held connection, or once over another; also if the caller is cancelled meanwhile.
        Whoever built has the value in any case, so nothing but a missing right is raised."""
        return await self._waiting.to_the_end(self._conclude(lease, command, *arguments))

    async def _conclude(self, lease: Lease, command: str, *arguments: Any) -> Any:
        lease.ended.set()
        held = lease.held
        if held.process != os.getpid():
            return None  # a child that a build forked off comes back from it as well: the lease is its parent's
        alone = await held.speaking.enter(READ_TIMEOUT)
        try:
            held.leases -= 1
            if alone and held.link.usable:
                try:
                    reply = await held.link.call(command, lease.key, lease.token, *arguments)
                    if held.leases == 0:
                        await held.node.give(held.link)
                    return self._concluded(lease, command, reply)
                except Exception as error:
                    if await self._is_final(lease, command, error):
                        raise
            reply = await self._server.command(command, lease.key, lease.token, *arguments)
            return self._concluded(lease, command, reply)
        except NoPermission:
            raise
        except Exception as error:
            log.warning("%s %s was not taken: %s", command, as_text(lease.key), error)
            self._tell("not_stored", lease.key, error=error)
            return None
        finally:
            if alone:
                held.speaking.leave()

    def _concluded(self, lease: Lease, command: str, reply: Any) -> Any:
        if reply is None and command == "CACHE.FILL":  # invalidated or taken over meanwhile
            self._tell("not_stored", lease.key)
        return reply

    async def _is_final(self, lease: Lease, command: str, error: Exception) -> bool:
        """Whether another connection would hear the same."""
        kind, link = kind_of(error), lease.held.link
        if kind is Kind.OTHER and command == "CACHE.FILL" and link.usable:
            # Refused as it stands, and so would be what every next builder brings.
            await link.call("CACHE.FAIL", lease.key, lease.token, text_of(error).encode())
        answered = link.usable
        await link.close()  # should the lease still be live, the tie ends it
        if kind is Kind.DENIED:
            raise NoPermission(f"{lease.held.node.name}: {error}") from error
        return answered and kind not in (Kind.MOVED, Kind.AGAIN)


def fill_options(features: Features, o: Call, made: Any) -> list[Any]:
    """What FILL is told, as far as it depends on the value. What is wrong in it is raised to the build's caller."""
    options: list[Any] = []
    ttl: Any = o.ttl(made) if callable(o.ttl) else o.ttl
    if callable(o.ttl):
        ttl = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
        # What is over already is not kept.
        ttl = seconds("ttl", 0 if isinstance(ttl, (int, float)) and ttl < 0 else ttl)
    if ttl is not None:
        options += ["PX", milliseconds(ttl)] if ttl > 0 else ["PXAT", 1]  # 0: for those who wait, not to be kept
        for name in ("swr", "sie"):
            if getattr(o, name):
                options += [name.upper(), milliseconds(getattr(o, name))]
        if o.jitter:
            options += ["JITTER", o.jitter]
    tags = as_tags(o.tags(made) if callable(o.tags) else o.tags)
    if tags:
        features.need("cache.fill tags")
        options += ["TAGS", len(tags), *(tag.encode() if isinstance(tag, str) else tag for tag in tags)]
    version = as_version(o.version(made) if callable(o.version) else o.version)
    if version is not None:
        features.need("cache.fill version")
        options += ["VERSION", version]
    return options
