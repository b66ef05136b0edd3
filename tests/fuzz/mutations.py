"""Bytes that decide how a sound file is spoilt: one way to steer for hypothesis and for atheris alike."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeVar

__all__ = ["Choices", "spoilt", "spoilt_json", "spoilt_lines"]

Item = TypeVar("Item")

#: What a field may hold that its reader did not expect.
ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 2**31, 2**63, 2**70, -(2**70), 0.5, 1.5, -0.25, 1e308, -1e308, 1e-320,
    float("nan"), float("inf"), float("-inf"), "", " ", "x", "0", "NaN", "../../etc/passwd", "/", "\x00", "\ud83d",
    "é" * 300, "<script>alert(1)</script>", "\u2028\n\r\t", [], {}, [[]], [None], {"": None}, [1, 2, 3],
    ["a", "b"], {"a": {"b": []}},
)  # fmt: skip
DEEP = 3000


class Choices:
    """Decisions taken from bytes, one after the other; zero when they are used up."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def number(self, below: int) -> int:
        """A number from 0, less than `below`."""
        taken = self._data[self._place : self._place + (1 if below <= 256 else 3)]
        self._place += len(taken)
        return int.from_bytes(taken, "little") % max(1, below)

    def one_of(self, items: Sequence[Item]) -> Item:
        return items[self.number(len(items))]

    def rest(self) -> bytes:
        taken, self._place = self._data[self._place :], len(self._data)
        return taken

    @property
    def left(self) -> bool:
        return self._place < len(self._data)


def spoilt(content: bytes, choices: Choices) -> bytes:
    """`content` with something cut off, put in, doubled or replaced, without regard to what it means."""
    start = choices.number(len(content) + 1)
    end = start + choices.number(64)
    way = choices.number(6)
    if way == 0:
        return content[:start]
    if way == 1:
        return content[:start] + content[end:]
    if way == 2:
        return content[:start] + choices.rest() + content[start:]
    if way == 3:
        return content[:start] + choices.rest() + content[end:]
    if way == 4:
        return content[:end] + content[start:]
    return choices.rest()


def spoilt_json(content: bytes, choices: Choices) -> bytes:
    """A JSON document with a few of its values replaced, dropped or wrapped; sometimes with its bytes spoilt."""
    way = choices.number(8)
    if way == 0:
        return spoilt(content, choices)
    if way == 1:
        return b"[" * DEEP + b"]" * DEEP
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):  # spoilt before
        return spoilt(content, choices)
    for _ in range(1 + choices.number(3)):
        value = _changed(value, choices)
    return json.dumps(value).encode()


def spoilt_lines(content: bytes, choices: Choices) -> bytes:
    """JSON Lines with one line spoilt, dropped or doubled, or with its bytes spoilt."""
    lines = content.splitlines(keepends=True)
    way = choices.number(6)
    if way == 0 or not lines:
        return spoilt(content, choices)
    place = choices.number(len(lines))
    if way == 1:
        del lines[place]
    elif way == 2:
        lines.insert(choices.number(len(lines)), lines[place])
    else:
        lines[place] = spoilt_json(lines[place], choices) + b"\n"
    return b"".join(lines)


def _changed(value: Any, choices: Choices) -> Any:
    """`value` with one node below it changed."""
    if isinstance(value, dict) and value and choices.number(6):
        name = choices.one_of(sorted(value))
        if not choices.number(8):
            return {key: held for key, held in value.items() if key != name}
        return {**value, name: _changed(value[name], choices)}
    if isinstance(value, list) and value and choices.number(6):
        place = choices.number(len(value))
        if not choices.number(8):
            return value[:place] + value[place + 1 :]
        return [*value[:place], _changed(value[place], choices), *value[place + 1 :]]
    if isinstance(value, int) and not isinstance(value, bool) and not choices.number(2):
        return value + choices.one_of((1, -1, 1000))
    if not choices.number(8):
        return [value]
    return choices.one_of(ODD)
