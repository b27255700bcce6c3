"""The near cache: encoded values in this process, bounded in number and time."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable


class NearCache:
    """redis-py and valkey-py offer no public handler for invalidation pushes, so that what bounds staleness is
    `longest`, `local_ttl`; what this process invalidates is dropped at once."""

    def __init__(self, size: int, longest: float) -> None:
        self._size = size
        self._longest = longest
        self._entries: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()
        self._lock = threading.Lock()
        self.moment = 0  # grows with each invalidation

    def get(self, key: bytes) -> bytes | None:
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            if entry[0] <= time.monotonic():
                del self._entries[key]
                return None
            self._entries.move_to_end(key)
            return entry[1]

    def put(self, key: bytes, value: bytes, fresh: float, moment: int, since: float) -> None:
        """Fresh for so many seconds since `since`, when the request was sent that brought the value or stored it. An
        invalidation after `moment` may be newer than the value."""
        with self._lock:
            if moment != self.moment or not self._size:
                return
            self._entries[key] = (since + min(fresh, self._longest), value)
            self._entries.move_to_end(key)
            if len(self._entries) > self._size:
                self._entries.popitem(last=False)

    def drop(self, keys: Iterable[bytes] | None) -> None:
        """None is all of them: nobody here knows which carry a tag."""
        with self._lock:
            self.moment += 1
            if keys is None:
                self._entries.clear()
            else:
                for key in keys:
                    self._entries.pop(key, None)
