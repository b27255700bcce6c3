"""A Django cache backend: Django's own Redis backend, with `get_or_set` by Corral.

    CACHES = {"default": {
        "BACKEND": "corral.django.CorralCache",
        "LOCATION": "redis://127.0.0.1:6379",
        "OPTIONS": {"CORRAL": {"swr": 30, "sie": 3600}},
    }}

`set`, `add` and `incr` write ordinary strings, as Django's backend does, so that both can share a server. What
`get_or_set` stores is an entry of Corral's, which `get`, `get_many`, `has_key` and the rest read as well."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from asgiref.sync import sync_to_async
from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.redis import RedisCache, RedisCacheClient

from .sync import Corral

_SERVED = (b"HIT", b"STALE")


class CorralCacheClient(RedisCacheClient):  # type: ignore[misc]
    def __init__(self, servers: Any, CORRAL: dict[str, Any] | None = None, **options: Any) -> None:
        super().__init__(servers, **options)
        self._corral_options = CORRAL or {}

    @cached_property
    def corral(self) -> Corral:
        return Corral(self.get_client(write=True), serializer=_DjangoValues(self._serializer), **self._corral_options)

    def get(self, key: str, default: Any) -> Any:
        state, value, _ = self.get_client(key).execute_command("CACHE.GET", key)
        return self._serializer.loads(value) if state in _SERVED else default

    def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        pipeline = self.get_client(None).pipeline(transaction=False)
        keys = list(keys)
        for key in keys:
            pipeline.execute_command("CACHE.GET", key)
        found = zip(keys, pipeline.execute())
        return {key: self._serializer.loads(value) for key, (state, value, _) in found if state in _SERVED}

    def has_key(self, key: str) -> bool:
        return self.get_client(key).execute_command("CACHE.GET", key)[0] in _SERVED

    def add(self, key: str, value: Any, timeout: int | None) -> bool:
        if super().add(key, value, timeout):
            return True
        if self.has_key(key):
            return False
        self.set(key, value, timeout)  # what is there holds no value, only a lease or a back-off
        return True

    def touch(self, key: str, timeout: int | None) -> bool:
        """EXPIRE moves the end of a string; an entry has a deadline of its own, moved by whoever has its lease."""
        client = self.get_client(key, write=True)
        if client.type(key) == b"string":
            return bool(super().touch(key, timeout))
        state, _, token = client.execute_command("CACHE.GETORLOCK", key, "FORCE", "LEASE", 2000)
        if state == b"LOCK":
            client.execute_command("CACHE.RELEASE", key, token)
            return False
        if state == b"REFRESH":
            if timeout == 0:
                return bool(client.delete(key))
            return bool(
                client.execute_command("CACHE.TOUCH", key, token, *([] if timeout is None else ["EX", timeout]))
            )
        return state in _SERVED  # somebody is rebuilding it, and will set its times

    def incr(self, key: str, delta: int) -> int:
        try:
            return int(super().incr(key, delta))
        except self._lib.ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
        value = self.get(key, self)  # an entry: a number in it becomes a string, which can be counted
        if value is self:
            raise ValueError(f"Key '{key}' not found.")
        self.get_client(key, write=True).set(key, self._serializer.dumps(value), keepttl=True)
        return int(super().incr(key, delta))


class _DjangoValues:
    """Django's serializer, which leaves integers as they are for INCR's sake, as one of bytes."""

    def __init__(self, serializer: Any) -> None:
        self._serializer = serializer

    def dumps(self, value: Any, /) -> bytes:
        data = self._serializer.dumps(value)
        return data if isinstance(data, bytes) else str(data).encode()

    def loads(self, data: bytes, /) -> Any:
        return self._serializer.loads(data)


class CorralCache(RedisCache):  # type: ignore[misc]
    def __init__(self, server: Any, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = CorralCacheClient

    @property
    def corral(self) -> Corral:
        """For `cached`, tags and the rest. Its keys are not given KEY_PREFIX and a version: see `make_key`."""
        return self._cache.corral  # type: ignore[no-any-return]

    def get_or_set(self, key: str, default: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> Any:
        """`default`, if it is a function, is called by one caller among all processes."""
        made = self.make_and_validate_key(key, version=version)
        build = default if callable(default) else lambda: default
        return self.corral.get_or_build(made, build, ttl=self.get_backend_timeout(timeout))

    async def aget_or_set(
        self, key: str, default: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> Any:
        # Not in the one thread that Django keeps for synchronous code: who waits must not hold up who builds.
        return await sync_to_async(self.get_or_set, thread_sensitive=False)(key, default, timeout, version)
