"""How values become bytes and back. Anything with `dumps` and `loads` will do."""

from __future__ import annotations

import json
import pickle
from typing import Any, Protocol


class Serializer(Protocol):
    def dumps(self, value: Any, /) -> bytes: ...

    def loads(self, data: bytes, /) -> Any: ...


class _Json:
    def dumps(self, value: Any, /) -> bytes:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()

    def loads(self, data: bytes, /) -> Any:
        return json.loads(data)


class _Bytes:
    def dumps(self, value: Any, /) -> bytes:
        if isinstance(value, (bytes, bytearray, memoryview)):
            return bytes(value)  # pyright: ignore[reportUnknownArgumentType]
        raise TypeError(f"serializer='bytes' takes bytes, and the build returned {type(value).__name__}")

    def loads(self, data: bytes, /) -> Any:
        return data


class _Pickle:
    """Whoever may write to the cache can run code in whoever reads it: for trusted servers only."""

    def dumps(self, value: Any, /) -> bytes:
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)

    def loads(self, data: bytes, /) -> Any:
        return pickle.loads(data)


_BY_NAME: dict[str, Serializer] = {"json": _Json(), "bytes": _Bytes(), "pickle": _Pickle()}


def serializer_named(given: str | Serializer) -> Serializer:
    if not isinstance(given, str):
        wanted: Any = given
        if not callable(getattr(wanted, "dumps", None)) or not callable(getattr(wanted, "loads", None)):
            raise ValueError(f"serializer={given!r}: takes a name or an object with dumps and loads")
        return given
    if given not in _BY_NAME:
        raise ValueError(
            f"serializer={given!r}: takes {', '.join(map(repr, _BY_NAME))} or an object with dumps and loads"
        )
    return _BY_NAME[given]
