"""`@cache.cached("report:{day}", tags=["day:{day}"])`: functions that answer from the cache."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from typing import Any, Generic, ParamSpec, TypeVar

from .keys import KeyTemplate, Template
from .options import Call

P = ParamSpec("P")
R = TypeVar("R")
N = TypeVar("N")  # what an invalidation returns: None, or an awaitable of it


class Cached(Generic[P, R, N]):
    """The function itself, and `refresh`, `invalidate`, `key` of the same arguments."""

    def __init__(
        self,
        template: str,
        ignore: Collection[str],
        tags: Any,
        call: Call,
        function: Callable[P, R],
        get: Callable[[str, Callable[[], Any], Call, bool], R],
        invalidate: Callable[[str], N],
    ) -> None:
        self._template = KeyTemplate(template, function, ignore)
        self._call, self._function, self._get, self._invalidate = call, function, get, invalidate
        fixed: tuple[Any, ...] = () if callable(tags) else tuple(tags)
        named = any("{" in tag for tag in fixed if isinstance(tag, str))
        self._tags = [Template(tag, function) if isinstance(tag, str) else tag for tag in fixed] if named else None
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._ask(args, kwargs, False)

    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Builds although the value is fresh. Everybody else is served what is there meanwhile."""
        return self._ask(args, kwargs, True)

    def _ask(self, args: Any, kwargs: Any, force: bool) -> R:
        call = self._call
        if self._tags is not None:
            call = call.tagged([tag.text(args, kwargs) if isinstance(tag, Template) else tag for tag in self._tags])
        return self._get(self._template.text(args, kwargs), functools.partial(self._function, *args, **kwargs), call, force)

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> N:
        return self._invalidate(self.key(*args, **kwargs))

    def key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        return self._template.text(args, kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """In a class: a method, of which `self` is the first argument."""
        return self if instance is None else _Bound(self, instance)


class _Bound:
    def __init__(self, cached: Cached[..., Any, Any], instance: Any) -> None:
        self._cached, self._instance = cached, instance
        for name in ("refresh", "invalidate", "key"):
            setattr(self, name, functools.partial(getattr(cached, name), instance))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._cached(self._instance, *args, **kwargs)
