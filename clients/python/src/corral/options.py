"""What a call may say, and what an object may: names, defaults, ranges. All times are seconds."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any, Literal, TypedDict

from .serializers import Serializer, serializer_named

Seconds = float | int | timedelta


class CallOptions(TypedDict, total=False):
    """The options of `get_or_build` and `cached`; given to `Corral(...)` they are its defaults."""

    ttl: Seconds | Callable[[Any], Seconds | None] | None
    swr: Seconds
    sie: Seconds
    jitter: int
    tags: Sequence[str] | Callable[[Any], Sequence[str]]
    version: int | Callable[[Any], int] | None
    group: str | None
    wait: Seconds
    lease: Seconds
    backoff: Seconds | None
    on_timeout: Literal["raise", "build"]


class ObjectOptions(CallOptions, total=False):
    """The options of `Corral(...)`: these, and the defaults of its calls."""

    serializer: str | Serializer
    degrade: Literal[True, "raise"]
    degrade_limit: int
    max_waiting: int
    local: int
    local_ttl: Seconds
    background: Callable[[Callable[[], Any]], Any] | None
    background_limit: int
    on_event: Callable[[Any], None] | None
    error_text: bool


@dataclass(frozen=True)
class Call:
    ttl: Any = None  # fresh so long; None is for ever. Like tags and version also a function of the built value
    swr: Any = 0  # served so long past ttl while somebody rebuilds
    sie: Any = 0  # served so long past ttl while rebuilds fail
    jitter: int = 0  # percent by which chance may shorten ttl
    tags: Any = ()
    version: Any = None
    group: str | None = None
    wait: float = 10.0  # patience for somebody else's build
    lease: float = 10.0  # renewed while the build runs
    backoff: float | None = None  # after a failed build; None is the server's default
    on_timeout: str = "raise"  # or "build": for oneself, not stored

    def __post_init__(self) -> None:
        for name in ("ttl", "swr", "sie", "wait", "lease", "backoff"):
            given = getattr(self, name)
            if not (name == "ttl" and callable(given)):
                object.__setattr__(self, name, seconds(name, given))
        if self.on_timeout not in ("raise", "build"):
            raise ValueError(f"on_timeout={self.on_timeout!r}: takes 'raise' or 'build'")
        jitter: Any = self.jitter
        if not isinstance(jitter, int) or not 0 <= jitter <= 100:
            raise ValueError(f"jitter={jitter!r}: takes a percentage, 0 to 100")
        if not callable(self.tags):
            object.__setattr__(self, "tags", as_tags(self.tags))
        if not callable(self.version):
            as_version(self.version)
        group: Any = self.group
        if group is not None and not isinstance(group, str):
            raise ValueError(f"group={group!r}: takes a text")
        needed: tuple[Any, ...] = (self.lease, self.wait)
        if None in needed:
            raise ValueError("lease and wait take seconds, not None")

    def tagged(self, tags: Sequence[str | bytes]) -> Call:
        made = copy.copy(self)
        object.__setattr__(made, "tags", tags)
        return made

    def but(self, changes: CallOptions) -> Call:
        if not changes:
            return self
        try:
            return _changed(self, tuple(changes.items()))
        except TypeError:  # not to be hashed: a list of tags
            return _changed.__wrapped__(self, tuple(changes.items()))


@lru_cache(maxsize=512)  # the same few sets of options come with every call
def _changed(call: Call, changes: tuple[tuple[str, Any], ...]) -> Call:
    known = CallOptions.__annotations__
    unknown = [name for name, _ in changes if name not in known]
    if unknown:
        raise ValueError(f"unknown option: {', '.join(unknown)}; known are {', '.join(known)}")
    return dataclasses.replace(call, **dict(changes))


@dataclass(frozen=True)
class Settings:
    serializer: Any = "json"
    degrade: Any = True  # build here while the server is gone; or "raise"
    degrade_limit: int = 8  # builds at once meanwhile
    max_waiting: int = 1_000  # connections that may be parked at once, in this process
    local: int = 0  # entries of the near cache
    local_ttl: float = 1.0
    background: Any = None  # takes a function without arguments and has it run elsewhere
    background_limit: int = 8  # refreshes at once
    on_event: Any = None
    error_text: bool = True  # False: other processes are told a failed build's class only

    def __post_init__(self) -> None:
        object.__setattr__(self, "serializer", serializer_named(self.serializer))
        object.__setattr__(self, "local_ttl", seconds("local_ttl", self.local_ttl))
        if self.degrade not in (True, "raise"):
            raise ValueError(f"degrade={self.degrade!r}: takes True or 'raise'")
        for name, least in (("degrade_limit", 1), ("max_waiting", 1), ("background_limit", 1), ("local", 0)):
            count = getattr(self, name)
            if not isinstance(count, int) or count < least:
                raise ValueError(f"{name}={count!r}: takes a whole number, {least} and more")
        for name in ("background", "on_event"):
            if getattr(self, name) is not None and not callable(getattr(self, name)):
                raise ValueError(f"{name}={getattr(self, name)!r}: takes a function")
        longest: Any = self.local_ttl
        if longest is None:
            raise ValueError("local_ttl takes seconds, not None")


def split(given: ObjectOptions) -> tuple[Settings, Call]:
    of_settings = {field.name for field in dataclasses.fields(Settings)}
    of_object: Any = {name: value for name, value in given.items() if name in of_settings}
    of_calls: Any = {name: value for name, value in given.items() if name not in of_settings}
    return Settings(**of_object), Call().but(of_calls)


def seconds(name: str, given: Any) -> float | None:
    if given is None:
        return None
    value = given.total_seconds() if isinstance(given, timedelta) else given
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 9e12:
        raise ValueError(f"{name}={given!r}: takes seconds, 0 and more, or a timedelta")
    return float(value)


def as_tags(given: Any) -> tuple[str | bytes, ...]:
    """Checked here, since a FILL that the server refuses has everybody build again."""
    if isinstance(given, (str, bytes)) or not isinstance(given, (Iterable, type(None))):
        raise ValueError(f"tags={given!r}: takes a list of texts, not one {type(given).__name__}")
    tags: tuple[Any, ...] = () if given is None else tuple(given)
    for tag in tags:
        if not isinstance(tag, (str, bytes)):
            raise ValueError(f"tags={tags!r}: takes texts, and {tag!r} is none")
        size = len(tag.encode() if isinstance(tag, str) else tag)
        if not 1 <= size <= 255:
            raise ValueError(f"tags: {tag!r} has {size} bytes, and 1 to 255 are allowed")
    if len(tags) > 32:
        raise ValueError(f"tags: {len(tags)} were given, and 32 are allowed")
    return tags


def as_version(given: Any) -> int | None:
    if given is not None and (isinstance(given, bool) or not isinstance(given, int) or not 0 <= given < 2**53):
        raise ValueError(f"version={given!r}: takes a whole number, 0 to 2^53-1")
    return given


def milliseconds(given: float) -> int:
    """At least 1: the server takes 0 for an error where a time must be a time."""
    return max(1, round(given * 1000))
