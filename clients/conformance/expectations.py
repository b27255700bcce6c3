"""Whether an answer is the one that a scenario wants."""

from __future__ import annotations

import json
from typing import Any


class Mismatch(AssertionError):
    pass


def fits(wanted: Any, got: Any) -> bool:
    if wanted == "*":
        return True
    if isinstance(wanted, dict):
        if "$contains" in wanted:
            return isinstance(got, str) and wanted["$contains"].lower() in got.lower()
        if "$any" in wanted:
            return any(fits(choice, got) for choice in wanted["$any"])
        if "$between" in wanted:
            low, high = wanted["$between"]
            return isinstance(got, (int, float)) and not isinstance(got, bool) and low <= got <= high
        return isinstance(got, dict) and all(name in got and fits(value, got[name]) for name, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(got, list) and len(wanted) == len(got) and all(map(fits, wanted, got))
    return (
        type(wanted) is type(got)
        and wanted == got
        or (
            not isinstance(wanted, bool)
            and not isinstance(got, bool)
            and isinstance(wanted, (int, float))
            and wanted == got
        )
    )


def answer_fits(step: dict[str, Any], answer: dict[str, Any]) -> bool:
    """For `gives` and `fails`; without either, anything but an error."""
    if "fails" in step:
        return "error" in answer and fits(step["fails"], answer["error"])
    if "error" in answer:
        return False
    return fits(step.get("gives", "*"), answer.get("value"))


def wanted_by(step: dict[str, Any]) -> str:
    if "fails" in step:
        return f"the error {json.dumps(step['fails'], ensure_ascii=False)}"
    return f"{json.dumps(step['gives'], ensure_ascii=False)}" if "gives" in step else "no error"


def shown(answer: dict[str, Any]) -> str:
    if "error" in answer:
        return f"the error {json.dumps(answer['error'], ensure_ascii=False)}"
    return json.dumps(answer.get("value"), ensure_ascii=False)
