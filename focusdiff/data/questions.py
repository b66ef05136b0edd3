"""Every text that the pipeline sends to a model, from one versioned file: ``questions.json`` beside this module."""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Any

__all__ = ["SCREENING", "ask", "questions_identity"]

#: The three screening questions, in the paper's order (section 3.1).
SCREENING = ("follows", "preserves", "natural")


@functools.cache
def _questions() -> dict[str, Any]:
    text = resources.files("focusdiff.data").joinpath("questions.json").read_text(encoding="utf-8")
    said: dict[str, Any] = json.loads(text)
    return said


def ask(stage: str, name: str, **values: str) -> str:
    """A question with its places filled in; braces within the values are left alone.

    Args:
        stage: ``screen``, ``caption`` or ``structure``.
        name: which of that stage's.
        values: by the names of the places.
    """
    parts = [_questions()[stage][name]["text"]]
    for place, value in values.items():
        # Values are cut out before the next place is looked for, so that none is looked for within a value.
        parts = [piece for part in parts for piece in _filled(part, f"{{{place}}}", value)]
    return "".join(parts)


class _Value(str):
    __slots__ = ()


def _filled(part: str, place: str, value: str) -> list[str]:
    if isinstance(part, _Value) or place not in part:
        return [part]
    head, _, tail = part.partition(place)
    return [head, _Value(value), *_filled(tail, place, value)]


def questions_identity() -> str:
    """The version of the file; a changed character is another version."""
    version: str = _questions()["version"]
    return version
