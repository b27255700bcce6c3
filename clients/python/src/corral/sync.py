"""Corral for threads (and for gevent, whose patched threads are threads)."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from .clients import client_of
from .connections import Library
from .engine import Engine
from .functions import Cached
from .keys import as_bytes
from .options import Call, seconds, split
from .server import Features
from .waiting import Threads, run

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .options import CallOptions, ObjectOptions, Seconds

P = ParamSpec("P")
R = TypeVar("R")
Key = str | bytes


class Corral:
    """Values that are built once however many ask for them. `client` is a client of redis-py or valkey-py
    (Sentinel's and Cluster's too) or a URL. Making one talks to no server."""

    def __init__(self, client: Any, **options: Unpack[ObjectOptions]) -> None:
        self._settings, self._defaults = split(options)
        self._library = Library(client_of(client, asynchronous=False), False, "Corral")
        self._engines: dict[int, Engine] = {}

    def get_or_build(self, key: Key, build: Callable[[], R], **options: Unpack[CallOptions]) -> R:
        """The value of `key`. `build` is called, in this thread, if nobody else is building it."""
        value: R = run(self._engine().get_or_build(as_bytes(key), build, self._defaults.but(options)))
        return value

    def refresh(self, key: Key, build: Callable[[], R], **options: Unpack[CallOptions]) -> R:
        """Builds although the value is fresh."""
        value: R = run(self._engine().get_or_build(as_bytes(key), build, self._defaults.but(options), force=True))
        return value

    def cached(
        self, template: str, *, ignore: Collection[str] = (), **options: Unpack[CallOptions]
    ) -> Callable[[Callable[P, R]], Cached[P, R, None]]:
        """A decorator: `{name}` in the template, and in tags, is the function's argument of that name. Those that make
        no difference to the value are named in `ignore`."""
        call = self._defaults.but(options)

        def get(key: str, build: Callable[[], Any], call: Call, force: bool) -> Any:
            return run(self._engine().get_or_build(key.encode(), build, call, force))

        def decorate(function: Callable[P, R]) -> Cached[P, R, None]:
            return Cached(template, ignore, call.tags if "tags" in options else (), call, function, get, self.invalidate)

        return decorate

    def invalidate(self, *keys: Key) -> None:
        """Stale from now on; a build under way is not stored. Raises NotAllAnswered if a node did not take it."""
        run(self._engine().invalidate([as_bytes(key) for key in keys]))

    def invalidate_tags(self, *tags: Key, swr: Seconds | None = None) -> None:
        """What carries one of the tags is stale from now on, on every master. `swr=0`: no old value is served."""
        run(self._engine().invalidate_tags([as_bytes(tag) for tag in tags], seconds("swr", swr)))

    def outdate(self, key: Key, version: int) -> None:
        """The source has at least this version: what is older is stale, and not stored any more."""
        run(self._engine().outdate(as_bytes(key), version))

    def check(self, key: Key = "corral:check") -> Features:
        """What the server's module can and what the user may not. The first call in a process does this by itself."""
        return run(self._engine().check(as_bytes(key)))

    def close(self) -> None:
        for engine in list(self._engines.values()):
            run(engine.server.topology.close())

    def _engine(self) -> Engine:
        # Of this process, and made by its first call: nothing of a parent's may be used, locks least of all.
        process = os.getpid()
        engine = self._engines.get(process)
        if engine is None:
            made = Engine(self._library, self._settings, Threads())
            engine = self._engines.setdefault(process, made)
        return engine

    def __enter__(self) -> Corral:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
