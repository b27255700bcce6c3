"""Corral for asyncio."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from .clients import client_of
from .connections import Library
from .engine import Engine
from .functions import Cached
from .keys import as_bytes
from .options import Call, seconds, split
from .server import Features
from .waiting import Tasks

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .options import CallOptions, ObjectOptions, Seconds

P = ParamSpec("P")
R = TypeVar("R")
Key = str | bytes


class AsyncCorral:
    """As Corral, for clients of redis.asyncio and valkey.asyncio. One object serves any number of event loops, each
    with connections and flights of its own."""

    def __init__(self, client: Any, **options: Unpack[ObjectOptions]) -> None:
        self._settings, self._defaults = split(options)
        self._library = Library(client_of(client, asynchronous=True), True, "AsyncCorral")
        self._engines: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[int, Engine]]
        self._engines = weakref.WeakKeyDictionary()

    async def get_or_build(self, key: Key, build: Callable[[], Awaitable[R]], **options: Unpack[CallOptions]) -> R:
        """The value of `key`. `build` is called, in this task, if nobody else is building it. A StopIteration of its own
        arrives as the cause of a RuntimeError: no coroutine can raise one."""
        value: R = await self._engine().get_or_build(as_bytes(key), build, self._defaults.but(options))
        return value

    async def refresh(self, key: Key, build: Callable[[], Awaitable[R]], **options: Unpack[CallOptions]) -> R:
        """Builds although the value is fresh."""
        value: R = await self._engine().get_or_build(as_bytes(key), build, self._defaults.but(options), force=True)
        return value

    def cached(
        self, template: str, *, ignore: Collection[str] = (), **options: Unpack[CallOptions]
    ) -> Callable[[Callable[P, Awaitable[R]]], Cached[P, Awaitable[R], Awaitable[None]]]:
        """A decorator: `{name}` in the template, and in tags, is the function's argument of that name. Those that make
        no difference to the value are named in `ignore`."""
        call = self._defaults.but(options)

        async def get(key: str, build: Callable[[], Any], call: Call, force: bool) -> Any:
            return await self._engine().get_or_build(key.encode(), build, call, force)

        def decorate(function: Callable[P, Awaitable[R]]) -> Cached[P, Awaitable[R], Awaitable[None]]:
            return Cached(template, ignore, call.tags if "tags" in options else (), call, function, get, self.invalidate)

        return decorate

    async def invalidate(self, *keys: Key) -> None:
        """Stale from now on; a build under way is not stored. Raises NotAllAnswered if a node did not take it."""
        await self._engine().invalidate([as_bytes(key) for key in keys])

    async def invalidate_tags(self, *tags: Key, swr: Seconds | None = None) -> None:
        """What carries one of the tags is stale from now on, on every master. `swr=0`: no old value is served."""
        await self._engine().invalidate_tags([as_bytes(tag) for tag in tags], seconds("swr", swr))

    async def outdate(self, key: Key, version: int) -> None:
        """The source has at least this version: what is older is stale, and not stored any more."""
        await self._engine().outdate(as_bytes(key), version)

    async def check(self, key: Key = "corral:check") -> Features:
        """What the server's module can and what the user may not. The first call in a process does this by itself."""
        return await self._engine().check(as_bytes(key))

    async def close(self) -> None:
        """Of the running loop: each closes its own."""
        await self._engine().server.topology.close()

    def _engine(self) -> Engine:
        loop, process = asyncio.get_running_loop(), os.getpid()
        made = self._engines.get(loop)
        if made is None or made[0] != process:
            self._forget_closed_loops()
            made = self._engines[loop] = (process, Engine(self._library, self._settings, Tasks()))
        return made[1]

    def _forget_closed_loops(self) -> None:
        # Each `asyncio.run` has a loop of its own, and connections keep the loop they were made in alive.
        for loop in (reference() for reference in self._engines.keyrefs()):
            if loop is not None and loop.is_closed():
                process, engine = self._engines.pop(loop, (0, None))
                if engine is not None and process == os.getpid():
                    engine.server.topology.abandon()

    async def __aenter__(self) -> AsyncCorral:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
