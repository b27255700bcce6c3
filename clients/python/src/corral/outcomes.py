"""What becomes of a call, and what is told of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .errors import BuildFailed
from .keys import as_text

log = logging.getLogger("corral")


class NotShared:
    """`return NotShared(value)` from a build: this value is for its caller only, and for a while everybody builds."""

    def __init__(self, value: Any) -> None:
        self.value: Any = value


@dataclass
class Value:
    data: bytes


@dataclass
class Failed:
    message: str
    again_at: float  # of time.monotonic
    cause: BaseException | None = None

    @classmethod
    def by(cls, message: str, milliseconds_left: int, cause: BaseException | None = None) -> Failed:
        return cls(message, time.monotonic() + max(0, milliseconds_left) / 1000, cause)

    def error(self, key: bytes) -> BuildFailed:
        """A new object for each caller: a traceback belongs to one raise."""
        error = BuildFailed(as_text(key), self.message, max(0.0, self.again_at - time.monotonic()))
        error.__cause__ = self.cause
        return error


class Private:
    """Each caller builds for itself."""


class Flight:
    """The callers of one key in this process: one asks, the others wait for what it gets. No outcome: ask anew."""

    def __init__(self, done: Any) -> None:
        self.done = done
        self.outcome: Value | Failed | Private | None = None


@dataclass(frozen=True)
class Event:
    """For `on_event`. Names: hit stale refresh built waited failed degraded not_stored."""

    name: str
    key: str
    seconds: float | None = None
    error: BaseException | None = None


Tell = Callable[..., None]


def teller(hook: Callable[[Event], None] | None) -> Tell:
    def tell(name: str, key: bytes, seconds: float | None = None, error: BaseException | None = None) -> None:
        if hook is None:
            return
        try:
            hook(Event(name, as_text(key), seconds, error))
        except Exception:
            log.exception("on_event raised")

    return tell
