"""A file of JSON objects, one after the other with their line numbers, and every fault of the file gathered.

Two layouts are read: one JSON list over the whole file, or JSON Lines. Unlike ``json.load`` this remembers where each
object began, goes on after a broken line of JSON Lines, and notices keys that are given twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from paircomp.errors import SuiteError
from paircomp.runtime.json_text import is_encodable

__all__ = ["Faults", "read_objects", "read_text"]

_BLANKS = re.compile(r"[ \t\r\n]*")
_LINES_NAMED = 5
# Longer marks first: that of UTF-16 is the beginning of that of UTF-32.
_FOREIGN_MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


class Faults:
    """The faults of a file by line; equal ones are gathered, so that one mistake on 500 lines is one fault.

    Args:
        unit: what is counted, where it is not lines.
    """

    def __init__(self, *, unit: str = "line") -> None:
        self.unit = unit
        self._lines: dict[str, list[int]] = {}
        self._counts: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, line: int, message: str) -> None:
        """Note `message` for `line` (from one)."""
        lines = self._lines.setdefault(message, [])
        if len(lines) < _LINES_NAMED:
            lines.append(line)
        self._counts[message] = self._counts.get(message, 0) + 1

    def messages(self) -> list[str]:
        """One text per fault, in the order of their first lines."""
        first = sorted(self._lines.items(), key=lambda item: item[1][0])
        return [f"{self._where(message, lines)}: {message}" for message, lines in first]

    def _where(self, message: str, lines: list[int]) -> str:
        rest = self._counts[message] - len(lines)
        named = ", ".join(map(str, lines))
        return f"{self.unit}{'s' if len(lines) > 1 else ''} {named}{f' and {rest} more' if rest else ''}"


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, without the byte order mark it may begin with.

    Raises:
        SuiteError: no file, a folder, nothing in it, or another encoding (the message names the byte).
    """
    if path.is_dir():
        raise SuiteError(path, ["is a folder; expected a JSON or JSON Lines file of pairs; next: name the file in it"])
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SuiteError(path, [f"{error.strerror or error}; next: check the path"]) from error
    text = _decode(path, content)
    if not text.strip():
        raise SuiteError(path, ["is empty; expected a JSON list of pairs, or one JSON object a line"])
    return text


def _decode(path: Path, content: bytes) -> str:
    foreign = next((name for mark, name in _FOREIGN_MARKS.items() if content.startswith(mark)), None)
    if foreign is None and b"\x00" in content[:4]:  # JSON begins with two ASCII characters
        foreign = "UTF-16 or UTF-32 without a mark"
    if foreign:
        raise SuiteError(
            path, [f"line 1: expected UTF-8, got {foreign} (bytes {content[:4].hex(' ')}); next: save it as UTF-8"]
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # With a byte order mark the codec counts from behind it; the byte itself is found in either case.
        start = error.start + (len(content) - len(error.object))
        line = content.count(b"\n", 0, start) + 1
        found = f"byte 0x{content[start]:02x} at offset {start} (Latin-1 or Windows-1252?)"
        raise SuiteError(path, [f"line {line}: expected UTF-8, got {found}; next: save it as UTF-8"]) from error


def read_objects(text: str, faults: Faults) -> Iterator[tuple[int, object]]:
    """Yield ``(line, value)`` of each item of a JSON list, or of each line of JSON Lines; blank lines are skipped.

    What cannot be parsed goes to `faults` and yields nothing. In a list nothing behind a syntax error can be read.
    """
    start = _after_blanks(text, 0)
    if text.startswith("[", start):
        yield from _list_items(text, start, faults)
    elif _is_one_object(text, start):
        line = text.count("\n", 0, start) + 1
        faults.add(line, "expected a JSON list of pairs, or one JSON object a line; got one object over several lines")
    else:
        yield from _json_lines(text, faults)


class _Decoder:
    """A JSON decoder that remembers what ``json`` lets pass: repeated keys, NaN, halves of characters."""

    def __init__(self) -> None:
        self._decoder = json.JSONDecoder(object_pairs_hook=self._object, parse_constant=self._constant)
        self._noted: list[str] = []

    def decode(self, text: str, start: int) -> tuple[object, int, list[str]]:
        """The value that begins at `start`, where it ends, and what is wrong with it.

        Raises:
            ValueError: not JSON.
        """
        self._noted = []
        try:
            value, end = self._decoder.raw_decode(text, start)
        except RecursionError:
            raise ValueError("nested too deeply") from None
        if text.find("\\u", start, end) >= 0 and not is_encodable(value):
            self._noted.append("half a character: an escape such as \\ud83d without its other half")
        return value, end, self._noted

    def _object(self, members: list[tuple[str, object]]) -> dict[str, object]:
        value = dict(members)
        if len(value) < len(members):
            names = [name for name, _ in members]
            repeated = dict.fromkeys(name for name in names if names.count(name) > 1)
            self._noted += [f"key {name!r} is given {names.count(name)} times" for name in repeated]
        return value

    def _constant(self, name: str) -> None:
        self._noted.append(f"{name} is no JSON value")


def _after_blanks(text: str, start: int) -> int:
    found = _BLANKS.match(text, start)
    return found.end() if found else start


def _is_one_object(text: str, start: int) -> bool:
    """Whether the file is a single object written over several lines: valid JSON, but neither of the two layouts."""
    if not text.startswith("{", start):
        return False
    try:
        _, end, _ = _Decoder().decode(text, start)
    except ValueError:
        return False
    return "\n" in text[start:end] and _after_blanks(text, end) == len(text)


def _list_items(text: str, start: int, faults: Faults) -> Iterator[tuple[int, object]]:
    decoder = _Decoder()
    line, counted = 1, 0
    position = _after_blanks(text, start + 1)
    if text.startswith("]", position):
        return _note_rest(text, position + 1, faults)
    while True:
        line, counted = line + text.count("\n", counted, position), position
        try:
            value, end, noted = decoder.decode(text, position)
        except ValueError as error:
            return faults.add(getattr(error, "lineno", line), _syntax_fault(error, text))
        for fault in noted:
            faults.add(line, fault)
        yield line, value
        position = _after_blanks(text, end)
        if text.startswith("]", position):
            return _note_rest(text, position + 1, faults)
        if not text.startswith(",", position):
            return faults.add(text.count("\n", 0, position) + 1, _unclosed(text, position))
        position = _after_blanks(text, position + 1)


def _unclosed(text: str, position: int) -> str:
    if position == len(text):
        return "the file ends before its list does; is it truncated?"
    return f"not JSON: expected ',' or ']' between pairs, got {text[position]!r}"


def _note_rest(text: str, end: int, faults: Faults) -> None:
    rest = _after_blanks(text, end)
    if rest < len(text):
        faults.add(text.count("\n", 0, rest) + 1, f"text behind the end of the list: {text[rest : rest + 20]!r}")


def _json_lines(text: str, faults: Faults) -> Iterator[tuple[int, object]]:
    decoder = _Decoder()
    for line, content in enumerate(_lines(text), start=1):
        start = _after_blanks(content, 0)
        if start == len(content):
            continue
        try:
            value, end, noted = decoder.decode(content, start)
        except ValueError as error:
            faults.add(line, _syntax_fault(error, content))
            continue
        rest = _after_blanks(content, end)
        if rest < len(content):
            noted = [*noted, f"not JSON: text behind the object: {content[rest : rest + 20]!r}"]
        for fault in noted:
            faults.add(line, fault)
        yield line, value


def _lines(text: str) -> Iterator[str]:
    """Lines as JSON Lines has them; ``str.splitlines`` would also split at U+2028, which a prompt may hold."""
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield text[start:end]
        start = end + 1


def _syntax_fault(error: ValueError, text: str) -> str:
    if not isinstance(error, json.JSONDecodeError):
        return f"not JSON: {str(error).partition(';')[0]}"
    cut_off = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")
    return f"not JSON: {error.msg} (column {error.colno}){'; is it truncated?' if cut_off else ''}"
