"""The exceptions of this package, and what an error of the Redis client means for a caller."""

from __future__ import annotations

from enum import Enum


class CorralError(Exception):
    """What this package raises, but for a build's own exception and the serializer's."""


class BuildFailed(CorralError):
    """The last build of this key failed, here or elsewhere, and the next attempt is not allowed yet."""

    def __init__(self, key: str, message: str, retry_after: float) -> None:
        super().__init__(f"{key}: {message}")
        self.message = message
        self.retry_after = retry_after  # seconds


class WaitTimeout(CorralError, TimeoutError):
    """The value was not there within `wait`."""


class RecursiveBuild(CorralError):
    """A build asked for the key that it is building."""


class ModuleMissing(CorralError):
    def __init__(self, where: str) -> None:
        super().__init__(
            f"{where} does not have the Corral module; in its redis.conf: loadmodule /path/to/libcorral.so"
        )


class Unsupported(CorralError):
    """The server's module is too old for an option that was asked for."""


class NoPermission(CorralError):
    """The server's ACL refuses a command, a key or the credentials."""


class Unavailable(CorralError):
    """The server is gone or refuses service. Seen with degrade="raise" only; the client's error is its cause."""


class UnknownAnswer(CorralError):
    """The server answered what this version does not know, and that must not be taken for anything else."""


class Stopped(RuntimeError):
    """A build's StopIteration, as the language has it leave a coroutine. `Corral` raises what it carries."""

    def __init__(self, stop: StopIteration) -> None:
        super().__init__("coroutine raised StopIteration")
        self.__cause__ = self.stop = stop


def carried(error: Exception) -> Exception:
    return Stopped(error) if isinstance(error, StopIteration) else error


def told(error: Exception) -> Exception:
    return error.stop if isinstance(error, Stopped) else error


class NotAllAnswered(CorralError):
    """An invalidation did not reach every node: old values may still be served there."""

    def __init__(self, nodes: dict[str, Exception]) -> None:
        super().__init__("not invalidated on " + ", ".join(f"{node} ({error})" for node, error in nodes.items()))
        self.nodes = nodes


class Kind(Enum):
    LOST = "the connection broke"
    OUTAGE = "the server cannot or will not serve"
    AGAIN = "to be asked again"
    MOVED = "another node has the slot"
    DENIED = "the ACL refuses"
    MISSING = "the module is not there"
    OTHER = "anything else"


# By class, as both clients name them: redis-py removes the code from the text of the errors that it has a class for.
_CLASSES = {
    "AuthenticationError": Kind.DENIED,
    "AuthorizationError": Kind.DENIED,
    "NoPermissionError": Kind.DENIED,
    "BusyLoadingError": Kind.OUTAGE,
    "ReadOnlyError": Kind.OUTAGE,
    "OutOfMemoryError": Kind.OUTAGE,
    "ClusterDownError": Kind.OUTAGE,
    "TryAgainError": Kind.AGAIN,
    "AskError": Kind.MOVED,
    "TimeoutError": Kind.OUTAGE,
    "ConnectionError": Kind.LOST,
    "OSError": Kind.LOST,
}
_CODES = {
    "NOPERM": Kind.DENIED,
    "NOAUTH": Kind.DENIED,
    "WRONGPASS": Kind.DENIED,
    "UNBLOCKED": Kind.AGAIN,
    "TRYAGAIN": Kind.AGAIN,
    "MOVED": Kind.MOVED,
    "ASK": Kind.MOVED,
    "LOADING": Kind.OUTAGE,
    "MASTERDOWN": Kind.OUTAGE,
    "CLUSTERDOWN": Kind.OUTAGE,
    "READONLY": Kind.OUTAGE,
    "MISCONF": Kind.OUTAGE,
    "NOREPLICAS": Kind.OUTAGE,
    "OOM": Kind.OUTAGE,
    "BUSY": Kind.OUTAGE,
}


def kind_of(error: BaseException) -> Kind:
    for ancestor in type(error).__mro__:
        if ancestor.__name__ in _CLASSES:
            # "max number of clients reached" is a ConnectionError of the server's, sent before it closes.
            return Kind.OUTAGE if "max number of clients" in str(error) else _CLASSES[ancestor.__name__]
    text = str(error)
    # "ERR" is removed from the texts of both clients. No other sign of an unknown command exists.
    if text.lower().startswith("unknown command"):
        return Kind.MISSING
    return _CODES.get(text.split(" ", 1)[0].lstrip("-"), Kind.OTHER)


def text_of(error: BaseException, with_text: bool = True) -> str:
    """A build's exception as a message for everybody: at most the 1024 bytes that the server takes."""
    name = type(error).__name__
    try:
        said = str(error) if with_text else ""
    except Exception:  # of its __str__; whoever builds would hold the lease for ever
        said = ""
    text = f"{name}: {said}" if said else name
    return text.encode(errors="backslashreplace")[:1024].decode(errors="ignore")
