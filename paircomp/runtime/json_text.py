"""Reading JSON that anybody may have written: every fault of it is a `ValueError`, and what comes out can be stored.

`json.loads` raises a RecursionError for text that is nested too deeply, and takes NaN, infinity and halves of
characters, on which a report that repeats them would fail much later and without a hint of where they came from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["is_encodable", "parse_json", "refuse_what_cannot_be_stored", "with_texts"]

_HALF_OF_A_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")
_NOT_FINITE = re.compile(r"NaN|Infinity|[eE]\+?\d{3}")


def with_texts(value: Any, change: Callable[[str], str]) -> Any:
    """A JSON value with each of its texts changed, names of fields included.

    Example:
        >>> with_texts({"a": ["b", 1]}, str.upper)
        {'A': ['B', 1]}
    """
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {change(name): with_texts(held, change) for name, held in value.items()}
    if isinstance(value, (list, tuple)):
        return [with_texts(held, change) for held in value]
    return value


def parse_json(text: str | bytes, *, nan: bool = False) -> Any:
    """The value of a JSON document.

    Args:
        text: all of it; bytes are UTF-8, with or without a byte order mark.
        nan: take NaN and infinity, which are no JSON; for formats that are known to hold them.

    Raises:
        ValueError: not JSON, nested too deeply, or holding what no file of ours may hold; the message says which.

    Example:
        >>> parse_json('{"s_a": 0.5}')
        {'s_a': 0.5}
        >>> parse_json("[" * 100_000)
        Traceback (most recent call last):
        ValueError: nested too deeply
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig")
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    refuse_what_cannot_be_stored(text, value, nan=nan)
    return value


def refuse_what_cannot_be_stored(text: str, value: Any, *, nan: bool = False) -> None:
    """Hold what was read against what may be written again; looks at the value only where its text gives reason to.

    Raises:
        ValueError: NaN, infinity, or half a character (an escaped surrogate without its other half).
    """
    if _HALF_OF_A_CHARACTER.search(text) and not is_encodable(value):
        raise ValueError("half a character: an escape such as \\ud83d without its other half")
    if not nan and _NOT_FINITE.search(text):
        try:
            json.dumps(value, allow_nan=False)
        except ValueError:
            raise ValueError("NaN and infinity are no JSON values") from None


def is_encodable(value: Any) -> bool:
    """Whether every text in a JSON value can be written as UTF-8."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
