"""Connections of the package's own, made with the client's settings (address, credentials, TLS, Sentinel, protocol)
but not its habits: no retries (a repeated GETORLOCK asks for a lease that nobody hears of), no decoding of replies, a
read time-out above the longest park. One class serves threads and asyncio: only `_done` differs."""

from __future__ import annotations

import asyncio
import importlib
import os
import threading
import time
import weakref
from collections.abc import Sequence
from typing import Any

from .errors import Kind, NoPermission, Unavailable, kind_of

SLICE = 2.0  # seconds that a call is parked before it asks again
READ_TIMEOUT = SLICE + 2.0
CONNECT_TIMEOUT = 4.0
_KEPT_IDLE = 64
_KEPT_SETTINGS = frozenset(
    "db username password credential_provider encoding encoding_errors protocol host port path client_name "
    "driver_info lib_name lib_version socket_keepalive socket_keepalive_options "
    "socket_type socket_read_size connection_pool".split()
)

_open: weakref.WeakSet[Link] = weakref.WeakSet()


def _let_go_in_child() -> None:
    # A child that inherits a socket keeps its lease tied after the parent died. Nothing may be said on the socket, nor
    # its number be free for another file, nor the event loop's epoll be touched, which is the parent's too.
    nowhere = os.open(os.devnull, os.O_RDWR)
    for link in list(_open):
        link.point_at(nowhere)
    os.close(nowhere)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)


class Library:
    """The client that was given: whose it is, and how its connections are made."""

    def __init__(self, client: Any, asynchronous: bool, wanted: str) -> None:
        name = next(
            (
                c.__module__.split(".")[0]
                for c in type(client).__mro__
                if c.__module__.startswith(("redis.", "valkey."))
            ),
            "",
        )
        if not name:
            raise ValueError(f"{wanted} takes a client of redis-py or valkey-py or a URL, not {type(client).__name__}")
        if hasattr(client, "master_for"):
            raise ValueError(f"{wanted} takes what sentinel.master_for(name) returns, not the Sentinel")
        self.awaits = any(".asyncio" in c.__module__ for c in type(client).__mro__)
        if self.awaits != asynchronous:
            other = "redis.Redis" if asynchronous else "redis.asyncio.Redis"
            raise ValueError(
                f"{wanted} does not take {other}: use {'Corral' if asynchronous else 'AsyncCorral'} for it"
            )
        self.client = client
        self.cluster = hasattr(client, "nodes_manager")
        self.slot_of: Any = importlib.import_module(f"{name}.crc").key_slot if self.cluster else None
        self._settings, self._class = self._connecting()

    def _connecting(self) -> tuple[dict[str, Any], Any]:
        if not self.cluster:
            pool = self.client.connection_pool
            return self._kept(pool.connection_kwargs), pool.connection_class
        node = next(iter(self.client.get_nodes() or self.client.nodes_manager.startup_nodes.values()))
        source: Any = node
        if not self.awaits:
            source = (getattr(node, "redis_connection", None) or getattr(node, "valkey_connection")).connection_pool
        return self._kept(source.connection_kwargs), source.connection_class

    def _kept(self, given: dict[str, Any]) -> dict[str, Any]:
        kept = {name: value for name, value in given.items() if name in _KEPT_SETTINGS or name.startswith("ssl")}
        connecting = given.get("socket_connect_timeout") or CONNECT_TIMEOUT
        # redis.asyncio passes its socket_timeout to asyncio.wait_for when it sends, which before Python 3.12 loses
        # cancellations: a caller that was cancelled would go on and park. So it is set for reading only (see Link; the
        # argument `timeout` of its read_response will not do: it answers None for a time-out, as for a nil).
        reading = None if self.awaits else READ_TIMEOUT
        return kept | {"socket_timeout": reading, "socket_connect_timeout": min(connecting, CONNECT_TIMEOUT)}

    def seeds(self) -> list[tuple[str, int]]:
        manager = self.client.nodes_manager
        nodes = [*self.client.get_nodes(), *manager.startup_nodes.values()]
        return list(dict.fromkeys((node.host, int(node.port)) for node in nodes))

    def seen_from_here(self, address: tuple[str, int]) -> tuple[str, int]:
        remap = getattr(self.client.nodes_manager, "address_remap", None)
        return remap(address) if remap else address

    def connection(self, address: tuple[str, int] | None) -> Any:
        where = {} if address is None else {"host": address[0], "port": address[1]}
        return self._class(**(self._settings | where))

    def title(self) -> str:
        if "path" in self._settings:
            return str(self._settings["path"])
        service = getattr(self._settings.get("connection_pool"), "service_name", None)
        return service or f"{self._settings.get('host', 'localhost')}:{self._settings.get('port', 6379)}"


class Link:
    """One connection, used by one caller at a time."""

    def __init__(self, raw: Any, awaits: bool) -> None:
        self._raw = raw
        self._awaits = awaits
        self.usable = True
        _open.add(self)

    async def _done(self, result: Any) -> Any:
        return await result if self._awaits else result

    async def open(self) -> Link:
        try:
            if self._awaits:
                await self._connect_in_a_task()
            else:
                self._raw.connect()
        except BaseException:
            await self.close()
            raise
        return self

    async def _connect_in_a_task(self) -> None:
        task = asyncio.ensure_future(self._raw.connect())
        try:
            await asyncio.wait({task}, timeout=CONNECT_TIMEOUT)
        finally:
            if not task.done():
                task.cancel()
                task.add_done_callback(self._connected_for_nobody)
        if not task.done():
            raise TimeoutError("the server accepted the connection and said nothing")
        task.result()

    def _connected_for_nobody(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and task.exception() is None:
            asyncio.ensure_future(self.close())

    async def call(self, *arguments: Any) -> Any:
        reply = (await self.call_all([arguments]))[0]
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def call_all(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """The replies; an error of the server's is one. Anything else that goes wrong, cancellation too, closes the
        connection: the reply to come must not meet the next command."""
        replies: list[Any] = []
        try:
            if self._awaits:
                self._raw.socket_timeout = None
            for arguments in commands:
                await self._done(self._raw.send_command(*arguments))
            if self._awaits:
                self._raw.socket_timeout = READ_TIMEOUT
            for _ in commands:
                try:
                    replies.append(await self._done(self._raw.read_response(disable_decoding=True)))
                except Exception as error:
                    if not any(c.__name__ == "ResponseError" for c in type(error).__mro__):
                        raise
                    replies.append(error)
        except BaseException:
            await self.close()
            raise
        return replies

    async def close(self) -> None:
        self.usable = False
        _open.discard(self)
        await self._done(self._raw.disconnect(nowait=True) if self._awaits else self._raw.disconnect())

    def abandon(self) -> None:
        """Of an event loop that was closed, which can close nothing any more."""
        self.usable = False
        _open.discard(self)
        transport = getattr(getattr(self._raw, "_writer", None), "transport", None)
        socket = getattr(transport, "_sock", None)
        if socket is not None:
            socket.close()

    def point_at(self, descriptor: int) -> None:
        self.usable = False
        writer = getattr(self._raw, "_writer", None)
        socket = writer.get_extra_info("socket") if writer else getattr(self._raw, "_sock", None)
        if socket is not None and socket.fileno() >= 0:
            os.dup2(descriptor, socket.fileno())


class Outage:
    """Whether a server is out, and when it is to be tried again. No caller does that: a server that hangs would cost
    it a read time-out each time."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self._pause = 0.0
        self._again_at = 0.0
        self._trying = False

    def begin(self, error: Exception) -> None:
        if self.error is not None and not self._trying:
            return  # of a call that was under way when it began
        self._pause = min(max(0.1, self._pause * 2), 5.0)
        self._again_at = time.monotonic() + self._pause
        self.error, self._trying = error, False

    def is_due(self) -> bool:
        """True for one who asks, who is to try it."""
        if self._trying or time.monotonic() < self._again_at:
            return False
        self._trying = True
        return True

    def answers(self) -> None:
        """It may be asked again. The pauses begin anew when it has served somebody."""
        self.error, self._trying = None, False

    def end(self) -> None:
        self.error, self._pause = None, 0.0


class Node:
    """One server: its idle connections, whether it is out, what it can."""

    def __init__(self, library: Library, address: tuple[str, int] | None) -> None:
        self._library = library
        self._address = address
        self._idle: list[Link] = []
        self.name = f"{address[0]}:{address[1]}" if address else library.title()
        self.outage = Outage()
        self.features: Any = None

    async def take(self) -> Link:
        while True:
            try:
                link = self._idle.pop()  # the last one given back is the least likely to have been closed meanwhile
            except IndexError:
                return await Link(self._library.connection(self._address), self._library.awaits).open()
            if link.usable:
                return link

    async def give(self, link: Link) -> None:
        if link.usable and len(self._idle) < _KEPT_IDLE:
            self._idle.append(link)
        elif link.usable:
            await link.close()

    async def drop_idle(self) -> None:
        idle, self._idle = self._idle, []
        for link in idle:
            await link.close()

    def abandon(self) -> None:
        idle, self._idle = self._idle, []
        for link in idle:
            link.abandon()


class Topology:
    """Which node has a key, and which nodes are masters."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self.is_cluster = library.cluster
        self._nodes: dict[tuple[str, int] | None, Node] = {}
        self._masters: list[Node] = []
        self._ranges: list[tuple[int, int, Node]] = []
        self._making = threading.Lock()

    def at(self, address: tuple[str, int] | None) -> Node:
        with self._making:
            return self._nodes.setdefault(address, Node(self._library, address))

    async def node(self, key: bytes) -> Node:
        if not self._library.cluster:
            return self.at(None)
        slot = self._library.slot_of(key)
        for attempt in range(2):
            for first, last, node in self._ranges:
                if first <= slot <= last:
                    return node
            if attempt == 0:
                await self.refresh()
        raise Unavailable(f"slot {slot} of the cluster is served by nobody")

    async def masters(self) -> list[Node]:
        if not self._library.cluster:
            return [self.at(None)]
        await self.refresh()
        return self._masters

    async def refresh(self) -> None:
        """Asks whoever answers, those known to be well first."""
        if not self._library.cluster:
            return
        asked = list(dict.fromkeys([*(n for _, _, n in self._ranges), *map(self.at, self._library.seeds())]))
        why: Exception | None = None
        for node in sorted(asked, key=lambda node: node.outage.error is not None):
            try:
                link = await node.take()
                rows = await link.call("CLUSTER", "SLOTS")
                await node.give(link)
            except Exception as error:
                if kind_of(error) is Kind.DENIED:
                    raise NoPermission(f"{node.name}: {error}") from error
                why = error
                continue
            here = node.name.rsplit(":", 1)[0]
            ranges: list[tuple[int, int, Node]] = []
            for first, last, (host, port, *_), *_ in rows:
                address = self._library.seen_from_here(((host or b"").decode() or here, int(port)))
                ranges.append((first, last, self.at(address)))
            self._ranges, self._masters = ranges, list(dict.fromkeys(node for _, _, node in ranges))
            return
        raise Unavailable(f"no node of the cluster answers: {why}") from why

    async def close(self) -> None:
        for node in self._nodes.values():
            await node.drop_idle()

    def abandon(self) -> None:
        for node in self._nodes.values():
            node.abandon()
