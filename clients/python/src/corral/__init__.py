"""Corral: values that are built once, however many ask for them at the same time.

cache = Corral("redis://localhost")

@cache.cached("report:{day}", ttl=60, swr=30, sie=3600)
def report(day): ...
"""

from .aio import AsyncCorral
from .outcomes import Event, NotShared
from .errors import (
    BuildFailed,
    CorralError,
    ModuleMissing,
    NoPermission,
    NotAllAnswered,
    RecursiveBuild,
    Unavailable,
    UnknownAnswer,
    Unsupported,
    WaitTimeout,
)
from .sync import Corral

__all__ = [
    "AsyncCorral",
    "BuildFailed",
    "Corral",
    "CorralError",
    "Event",
    "ModuleMissing",
    "NoPermission",
    "NotAllAnswered",
    "NotShared",
    "RecursiveBuild",
    "Unavailable",
    "UnknownAnswer",
    "Unsupported",
    "WaitTimeout",
]
