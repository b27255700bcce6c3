"""One request to whoever has the key, and what comes of each error that it may meet."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .connections import Library, Link, Node, Topology
from .errors import Kind, ModuleMissing, NoPermission, NotAllAnswered, Unavailable, Unsupported, WaitTimeout, kind_of
from .keys import as_text
from .waiting import Waiting

# What every user needs: command, and arguments that are refused after the ACL was asked and before anything is done.
_PROBES = {
    "cache.getorlock": ("CORRAL",),
    "cache.fill": ("x", ""),
    "cache.fail": ("x", ""),
    "cache.renew": ("x", "x"),
    "cache.release": ("x",),
}
_OPTIONAL_PROBES = {"cache.pass": ("x",), "cache.get": ()}
_FIRST_VERSION = frozenset(
    "getorlock mgetorlock fill set get renew release fail pass touch invalidate info leases".split()
)
_ATTEMPTS_TO_TELL = 3


@dataclass(frozen=True)
class Features:
    """What the server's module can, and what the user may."""

    version: str
    words: frozenset[str]  # commands and options as CACHE.VERSION names them
    missing: list[str] = field(default_factory=list[str])  # commands that the ACL refuses

    def need(self, word: str) -> None:
        if word not in self.words:
            raise Unsupported(f"the server's module (version {self.version}) has no {word.upper()}")


class Reached(NamedTuple):
    reply: Any
    node: Node
    link: Link


class Server:
    def __init__(self, library: Library, waiting: Waiting) -> None:
        self.topology = Topology(library)
        self._waiting = waiting

    async def reach(
        self, key: bytes, arguments: Callable[[Node], Sequence[Any]], deadline: float, checked: bool = True
    ) -> Reached:
        """Sends it to the key's master and answers with the reply and the connection it came over, to be kept or given
        back. Raises Unavailable for an outage; NoPermission and ModuleMissing always."""
        lost = False
        redirect: tuple[tuple[str, int], bool] | None = None
        while True:
            node = self.topology.at(redirect[0]) if redirect else await self.topology.node(key)
            link = await self._take(node, key, checked)
            try:
                if redirect and redirect[1]:
                    await link.call("ASKING")
                reply = await link.call(*arguments(node))
            except Exception as error:
                kind = kind_of(error)
                if kind is Kind.LOST and not lost:
                    # A server that restarted, or closed what was idle: everything else that is idle is as old.
                    lost = True
                    await link.close()
                    await node.drop_idle()
                    continue
                if kind in (Kind.LOST, Kind.OUTAGE):
                    await link.close()
                    await node.drop_idle()
                    raise self._out(node, error) from error
                await node.give(link)
                self._refuse(node, error)
                if time.monotonic() >= deadline:
                    raise WaitTimeout(
                        f"{as_text(key)}: {node.name} said to ask again until `wait` was over: {error}"
                    ) from error
                redirect = await self._another(error) if kind is Kind.MOVED else None
                if redirect is None:
                    await self._waiting.sleep(random.uniform(0.02, 0.1))
                continue
            node.outage.end()
            return Reached(reply, node, link)

    async def command(self, name: str, key: bytes, *arguments: Any, patience: float = 5.0) -> Any:
        reply, node, link = await self.reach(
            key, lambda _: (name, key, *arguments), time.monotonic() + patience, checked=False
        )
        await node.give(link)
        return reply

    async def read_all(self, keys: Sequence[bytes]) -> list[Any]:
        """CACHE.GET of each, in one round trip to each node."""
        groups: dict[str, list[bytes]] = {}
        for key in keys:
            groups.setdefault((await self.topology.node(key)).name, []).append(key)
        found: dict[bytes, Any] = {}
        for group in groups.values():
            first, *others = group
            found[first], node, link = await self.reach(first, lambda _: ("CACHE.GET", first), time.monotonic() + 5.0)
            replies = await link.call_all([("CACHE.GET", key) for key in others])
            await node.give(link)
            found.update(zip(others, replies))
        for key, reply in found.items():
            if isinstance(reply, Exception):  # a slot that is moving, say
                found[key] = await self.command("CACHE.GET", key)
        return [found[key] for key in keys]

    async def features(self, key: bytes, anew: bool = False) -> Features:
        node = await self.topology.node(key)
        if node.features is not None and not anew:
            return node.features  # type: ignore[no-any-return]
        node.features = None
        link = await self._take(node, key, checked=True)
        await node.give(link)
        return node.features  # type: ignore[no-any-return]

    async def invalidate(self, keys: Sequence[bytes]) -> None:
        # In a cluster one by one: keys of one command must be of one slot.
        groups = [[key] for key in keys] if self.topology.is_cluster else [keys] if keys else []
        await self._tell([("CACHE.INVALIDATE", *group) for group in groups])

    async def outdate(self, key: bytes, version: int) -> None:
        await self._tell([("CACHE.OUTDATE", key, version)], "cache.outdate")

    async def _tell(self, commands: Sequence[tuple[Any, ...]], needed: str | None = None) -> None:
        """Tells each key's master, and those that did not answer again: what is lost here is an old value for ever."""
        failed: dict[str, Exception] = {}
        for name, key, *arguments in commands:
            for attempt in range(_ATTEMPTS_TO_TELL):
                try:
                    if needed is not None:
                        (await self.features(key)).need(needed)
                    await self.command(name, key, *arguments)
                    break
                except Unavailable as error:
                    node = await self._master(key)
                    where = node.name if node else f"the master of {as_text(key)}"
                    if where in failed or attempt + 1 == _ATTEMPTS_TO_TELL:
                        failed[where] = error
                        break
                    await self._waiting.sleep(random.uniform(0.1, 0.2))
                    await self._refreshed()
                    if node is not None:
                        await self._try_again(node)  # it may be back before its pause is over
        if failed:
            raise NotAllAnswered(failed)

    async def invalidate_tags(self, tags: Sequence[bytes], swr_ms: int | None) -> None:
        if not tags:
            return
        options = () if swr_ms is None else ("SWR", swr_ms)
        done: set[str] = set()
        failed: dict[str, Exception] = {}
        for attempt in range(_ATTEMPTS_TO_TELL):
            if attempt:
                await self._waiting.sleep(random.uniform(0.1, 0.2))
            try:
                masters = await self.topology.masters()
            except Unavailable as error:
                failed = {"every node": error}
                continue
            failed = {}
            for node in (node for node in masters if node.name not in done):
                try:
                    link = await node.take()
                    try:
                        await link.call("CACHE.INVALIDATETAG", len(tags), *tags, *options)
                    finally:
                        await node.give(link)
                    done.add(node.name)
                except Exception as error:
                    if kind_of(error) is Kind.MISSING:
                        raise Unsupported(f"{node.name}: the server's module has no CACHE.INVALIDATETAG") from error
                    self._refuse(node, error)
                    await node.drop_idle()
                    failed[node.name] = error
            if not failed:
                return
        raise NotAllAnswered(failed)

    async def _take(self, node: Node, key: bytes, checked: bool) -> Link:
        if node.outage.error is not None:
            if node.outage.is_due():
                try:
                    self._waiting.beside(lambda: self._try_again(node))
                except Exception as error:  # of a process that can start no thread
                    node.outage.begin(error)
            raise Unavailable(f"{node.name} is out: {node.outage.error}") from node.outage.error
        try:
            link = await node.take()
            if checked and node.features is None:
                node.features = await self._ask_features(node, link, key)
        except Exception as error:
            if isinstance(error, (NoPermission, ModuleMissing)):
                raise
            self._refuse(node, error)
            await node.drop_idle()
            await self._refreshed()
            raise self._out(node, error) from error
        return link

    async def _try_again(self, node: Node) -> None:
        try:
            link = await node.take()
            await link.call("PING")
            await node.give(link)
        except Exception as error:
            if kind_of(error) in (Kind.LOST, Kind.OUTAGE):
                node.outage.begin(error)
                with suppress(NoPermission):  # for callers to see
                    await self._refreshed()  # in a cluster a replica may have taken its place meanwhile
                return
        node.outage.answers()

    async def _ask_features(self, node: Node, link: Link, key: bytes) -> Features:
        probes = _PROBES | _OPTIONAL_PROBES
        version, *refusals = await link.call_all(
            [("CACHE.VERSION",), *((name, key, *arguments) for name, arguments in probes.items())]
        )
        missing: list[str] = []
        for name, refusal in zip(probes, refusals):
            kind = kind_of(refusal) if isinstance(refusal, Exception) else Kind.OTHER
            if kind is Kind.MISSING:
                await node.give(link)
                raise ModuleMissing(node.name) from refusal
            # "… no permissions to run the 'cache.fill' command". A refused key is told when it is used.
            if kind is Kind.DENIED and re.search("run the '?cache", str(refusal), re.IGNORECASE):
                missing.append(name)
        for name in _PROBES:
            if name in missing:
                await node.give(link)
                raise NoPermission(f"{node.name}: the user may not run {name}: add +{name} to its ACL rules")
        if isinstance(version, Exception):
            if kind_of(version) is Kind.DENIED:
                raise NoPermission(
                    f"{node.name}: the user may not run cache.version: add +cache.version to its ACL rules"
                )
            return Features("of the first version", frozenset("cache." + word for word in _FIRST_VERSION), missing)
        map_or_list: Any = version
        told: dict[Any, Any] = map_or_list if isinstance(version, dict) else dict(zip(version[::2], version[1::2]))
        words = [*told.get(b"commands", ()), *told.get(b"options", ())]
        return Features(_text(told.get(b"version", b"?")), frozenset(_text(w).lower() for w in words), missing)

    def _refuse(self, node: Node, error: Exception) -> None:
        """What is an error for every caller, whatever it prefers."""
        kind = kind_of(error)
        if kind is Kind.DENIED:
            raise NoPermission(f"{node.name}: {error}") from error
        if kind is Kind.MISSING:
            node.features = None
            raise ModuleMissing(node.name) from error
        if kind is Kind.OTHER:
            raise error

    def _out(self, node: Node, error: Exception) -> Unavailable:
        node.outage.begin(error)
        return Unavailable(f"{node.name}: {error}")

    async def _another(self, error: Exception) -> tuple[tuple[str, int], bool] | None:
        """After MOVED the topology is read anew and asked; ASK names the node for this one call."""
        words = str(error).replace("MOVED ", "").replace("ASK ", "").split()
        asking = type(error).__name__ == "AskError" or str(error).startswith("ASK")
        if asking and len(words) == 2 and ":" in words[1]:
            host, port = words[1].rsplit(":", 1)
            return (host, int(port)), True
        await self._refreshed()
        return None

    async def _refreshed(self) -> None:
        try:
            await self.topology.refresh()
        except Unavailable:
            pass  # what is known stays; the caller has an error of its own

    async def _master(self, key: bytes) -> Node | None:
        try:
            return await self.topology.node(key)
        except Unavailable:
            return None


def _text(word: Any) -> str:
    return word.decode() if isinstance(word, bytes) else str(word)
