"""What waits, sleeps and runs beside: with threads, or as tasks of one event loop. The engine is written once, as
coroutines. Those of `Threads` block where those of `Tasks` suspend, so `run` has only to start them."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from .errors import Stopped
from .surroundings import outliving

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    except Stopped as stopped:
        carried = stopped.stop
    else:
        coroutine.close()
        raise RuntimeError("a coroutine for threads suspended")
    raise carried


class Event(Protocol):
    def set(self) -> None: ...

    def is_set(self) -> bool: ...


class Waiting(Protocol):
    def event(self) -> Event: ...

    async def wait(self, event: Any, timeout: float) -> bool: ...

    async def sleep(self, seconds: float) -> None: ...

    def slots(self, count: int) -> Slots: ...

    async def call(self, build: Callable[[], Any]) -> Any: ...

    async def to_the_end(self, coroutine: Coroutine[Any, Any, T]) -> T: ...

    def beside(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None: ...

    def in_background(self, work: Callable[[], Coroutine[Any, Any, None]], limit: int, hook: Any) -> None: ...


class Slots(Protocol):
    """A number of places: as a lock, one."""

    async def enter(self, timeout: float) -> bool: ...

    def leave(self) -> None: ...


class Threads:
    def __init__(self) -> None:
        self._refreshes: deque[Callable[[], None]] = deque()
        self._workers = 0
        self._lock = threading.Lock()

    def event(self) -> threading.Event:
        return threading.Event()

    async def wait(self, event: threading.Event, timeout: float) -> bool:
        return event.wait(_bounded(timeout))

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def slots(self, count: int) -> Slots:
        return _ThreadSlots(count)

    async def call(self, build: Callable[[], Any]) -> Any:
        try:
            value = build()
        except StopIteration as stop:
            raise Stopped(stop) from stop
        if inspect.isawaitable(value):
            if inspect.iscoroutine(value):
                value.close()
            raise TypeError("the build is a coroutine function: Corral takes plain functions, AsyncCorral both")
        return value

    async def to_the_end(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return await coroutine

    def beside(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        threading.Thread(target=lambda: run(work()), name="corral-beside", daemon=True).start()

    def in_background(self, work: Callable[[], Coroutine[Any, Any, None]], limit: int, hook: Any) -> None:
        context, around = outliving()

        def job() -> None:
            with around():
                run(work())

        if hook is not None:
            hook(lambda: context.run(job))
            return
        waiting = lambda: context.run(job)  # noqa: E731
        with self._lock:
            self._refreshes.append(waiting)
            if self._workers >= limit:
                return
            self._workers += 1
        # Daemons, where an executor's threads would hold up the end of the process: the tie ends the lease.
        try:
            threading.Thread(target=self._work, name="corral-refresh", daemon=True).start()
        except Exception:
            with self._lock:
                self._workers -= 1
                if waiting not in self._refreshes:
                    return  # another worker has taken it
                self._refreshes.remove(waiting)
            raise

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._refreshes:
                    self._workers -= 1
                    return
                job = self._refreshes.popleft()
            job()


def _bounded(timeout: float) -> float:
    return min(max(0.0, timeout), threading.TIMEOUT_MAX)


class _ThreadSlots:
    def __init__(self, count: int) -> None:
        self._semaphore = threading.Semaphore(count)

    async def enter(self, timeout: float) -> bool:
        return self._semaphore.acquire(timeout=_bounded(timeout))

    def leave(self) -> None:
        self._semaphore.release()


class Tasks:
    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()  # the loop keeps weak references only
        self._places: asyncio.Semaphore | None = None

    def event(self) -> _Signal:
        return _Signal()

    async def wait(self, event: _Signal, timeout: float) -> bool:
        if not event.is_set():
            await _until(asyncio.get_running_loop().create_future(), event.waiters, timeout)
        return event.is_set()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def slots(self, count: int) -> Slots:
        return _TaskSlots(count)

    async def call(self, build: Callable[[], Any]) -> Any:
        try:
            value = build()
        except StopIteration as stop:
            raise Stopped(stop) from stop
        return await value if inspect.isawaitable(value) else value

    async def to_the_end(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Also if the caller is cancelled meanwhile."""
        return await asyncio.shield(self._start(coroutine))

    def beside(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._start(work())

    def in_background(self, work: Callable[[], Coroutine[Any, Any, None]], limit: int, hook: Any) -> None:
        context, _ = outliving()
        if hook is not None:
            hook(lambda: context.run(self._start, work()))
            return
        places = self._places = self._places or asyncio.Semaphore(limit)

        async def in_turn() -> None:
            async with places:
                await work()

        context.run(self._start, in_turn())

    def _start(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task


Waiter = asyncio.Future[bool]


# Not asyncio.wait_for: before Python 3.12 it loses a cancellation that comes with the result.
async def _until(waiter: Waiter, waiters: deque[Waiter], timeout: float) -> bool:
    """True if somebody resolved it, False after the time-out."""
    alarm = waiter.get_loop().call_later(max(0.0, timeout), _resolve, waiter, False)
    waiters.append(waiter)
    try:
        return await waiter
    finally:
        alarm.cancel()
        if waiter in waiters:
            waiters.remove(waiter)


def _resolve(waiter: Waiter, result: bool) -> bool:
    if waiter.done():
        return False
    waiter.set_result(result)
    return True


class _Signal:
    def __init__(self) -> None:
        self.waiters: deque[Waiter] = deque()
        self._set = False

    def set(self) -> None:
        self._set = True
        for waiter in self.waiters:
            _resolve(waiter, True)

    def is_set(self) -> bool:
        return self._set


class _TaskSlots:
    def __init__(self, count: int) -> None:
        self._free = count
        self._waiters: deque[Waiter] = deque()

    async def enter(self, timeout: float) -> bool:
        if self._free > 0:
            self._free -= 1
            return True
        waiter: Waiter = asyncio.get_running_loop().create_future()
        try:
            return await _until(waiter, self._waiters, timeout)
        except asyncio.CancelledError:
            if not waiter.cancelled() and waiter.result():
                self.leave()  # it was given at the moment of the cancellation
            raise

    def leave(self) -> None:
        while self._waiters:
            if _resolve(self._waiters.popleft(), True):
                return
        self._free += 1
