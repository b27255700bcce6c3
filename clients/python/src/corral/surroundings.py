"""What a refresh in the background takes along from the request that began it, and what it must not."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import Context, copy_context
from typing import Any


def outliving() -> tuple[Context, Callable[[], AbstractContextManager[Any]]]:
    """A copy of the caller's context (traces, locale, logging), without what ends with the request, and what is to be
    entered around the build."""
    context = Context()
    for variable, value in copy_context().items():
        # Flask's request and application context are closed when the response has been sent.
        if not variable.name.startswith("flask."):
            context.run(variable.set, value)
    return context, _flask() or _django() or nullcontext


def _flask() -> Callable[[], AbstractContextManager[Any]] | None:
    flask: Any = sys.modules.get("flask")
    if flask is None or not flask.has_app_context():
        return None
    return flask.current_app._get_current_object().app_context  # type: ignore[no-any-return]


def _django() -> Callable[[], AbstractContextManager[Any]] | None:
    database: Any = sys.modules.get("django.db")
    if database is None:
        return None

    @contextmanager
    def connections_closed_after() -> Generator[None, None, None]:
        # No request ends in this thread, so nobody else closes what the build opened in it.
        try:
            yield
        finally:
            database.connections.close_all()

    return connections_closed_after
