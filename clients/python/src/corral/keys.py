"""Keys from templates: "report:{day}" and the arguments of the function below it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from datetime import date, time
from decimal import Decimal
from enum import Enum
from string import Formatter
from typing import Any
from uuid import UUID

# What has one text for one value. Containers have not: {1, 2} may be printed either way; an object prints its address.
_TEXTUAL = (str, int, float, Decimal, UUID, date, time, Enum, type(None))


class Template:
    """A text with `{name}` where an argument of that name goes."""

    def __init__(self, template: str, function: Callable[..., Any]) -> None:
        self._template, self._title = template, _title(function)
        self._signature = inspect.signature(function)
        self._parts = list(Formatter().parse(template))
        self._named = {_name(field): field for _, field, _, _ in self._parts if field is not None}
        self._check(self._named)

    def text(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        made: list[str] = []
        for text, field, form, conversion in self._parts:
            made.append(text)
            if field is not None:
                value, _ = Formatter().get_field(field, (), bound.arguments)
                made.append(self._text(field, Formatter().convert_field(value, conversion), form or ""))
        return "".join(made)

    def _check(self, named: dict[str, str]) -> None:
        for name, field in named.items():
            if name not in self._signature.parameters:
                there = ", ".join(self._signature.parameters) or "none"
                raise ValueError(
                    f"template {self._template!r}: {{{field}}} is no parameter of {self._title}, which has {there}"
                )

    def _text(self, field: str, value: Any, form: str) -> str:
        if not isinstance(value, _TEXTUAL):
            raise TypeError(
                f"template {self._template!r}: {{{field}}} is a {type(value).__name__}, of which no text can be made; "
                f"name a part of it, as {{{field}.id}}, or pass a text"
            )
        return format(value.value if isinstance(value, Enum) else value, form)


class KeyTemplate(Template):
    """Of calls that differ, the keys differ."""

    def __init__(self, template: str, function: Callable[..., Any], ignore: Collection[str] = ()) -> None:
        """`ignore` names the parameters that make no difference to the value, and so have no part in the key."""
        super().__init__(template, function)
        self._check({name: name for name in ignore})
        left_out = [name for name in self._signature.parameters if name not in self._named and name not in ignore]
        if left_out:
            raise ValueError(
                f"template {template!r} leaves out {', '.join(left_out)} of {self._title}: calls that differ only "
                f"there would share one value. Name it, as {{{left_out[0]}}}, or say ignore={left_out!r}"
            )

    def _text(self, field: str, value: Any, form: str) -> str:
        # "a:b" and "c" must not meet "a" and "b:c".
        return super()._text(field, value, form).replace("%", "%25").replace(":", "%3A")


def _name(field: str) -> str:
    return field.replace("[", ".").split(".", 1)[0]


def _title(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", repr(function))


def as_bytes(key: str | bytes) -> bytes:
    given: Any = key
    if isinstance(given, bytes):
        return given
    if isinstance(given, str):
        return given.encode()
    raise TypeError(f"a key is text or bytes, not {type(given).__name__}")


def as_text(key: bytes) -> str:
    return key.decode(errors="backslashreplace")
