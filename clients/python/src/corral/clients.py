"""A client from a URL, by whichever library is installed."""

from __future__ import annotations

import importlib
from typing import Any

_SCHEMES = ("redis://", "rediss://", "unix://", "valkey://", "valkeys://")


def client_of(given: Any, asynchronous: bool) -> Any:
    if not isinstance(given, str):
        return given
    if not given.startswith(_SCHEMES):
        raise ValueError(f"{given!r}: a URL begins with {', '.join(_SCHEMES)}")
    wanted = ("valkey", "redis") if given.startswith("valkey") else ("redis", "valkey")
    for library in wanted:
        try:
            module = importlib.import_module(library + (".asyncio" if asynchronous else ""))
        except ModuleNotFoundError:
            continue
        client = module.Redis if library == "redis" else module.Valkey
        scheme, rest = given.split("://", 1)
        if library == "redis":
            scheme = scheme.replace("valkey", "redis")
        return client.from_url(f"{scheme}://{rest}")
    raise ModuleNotFoundError("neither redis-py nor valkey-py is installed: pip install redis")
