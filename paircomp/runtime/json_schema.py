"""Holding a value from outside against one of our JSON Schemas, every fault at once.

Entries come from anywhere and are checked wherever they are read, so this needs no further package. It knows the words
that the schemas of this project use and refuses a schema with any other; the tests hold it against a full validator.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["schema_faults"]

_MOST_FAULTS: Final = 50
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,), "array": (list,), "string": (str,), "boolean": (bool,), "null": (type(None),),
    "integer": (int,), "number": (int, float),
}  # fmt: skip
_SILENT: Final = {"$schema", "$id", "$defs", "title", "description"}


def schema_faults(value: object, schema: Mapping[str, Any]) -> list[str]:
    """Every way in which `value` departs from `schema`, as ``place: what was expected, what came``; at most 50."""
    found: list[str] = []
    for fault in _faults(value, schema, schema, ""):
        found.append(fault)
        if len(found) == _MOST_FAULTS:
            break
    return found


def _faults(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], place: str) -> Iterator[str]:
    for word, expected in schema.items():
        if word not in _SILENT:
            yield from _WORDS[word](value, expected, root, place, schema)


def _said(place: str, problem: str) -> str:
    return f"{place or 'top level'}: {problem}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is(value: object, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, _TYPES[name]) or (name == "integer" and isinstance(value, float) and value.is_integer())


def _reference(value: Any, expected: str, root: Mapping[str, Any], place: str, _: Any) -> Iterator[str]:
    yield from _faults(value, root["$defs"][expected.removeprefix("#/$defs/")], root, place)


def _type(value: Any, expected: str | list[str], root: Any, place: str, _: Any) -> Iterator[str]:
    names = [expected] if isinstance(expected, str) else expected
    if not any(_is(value, name) for name in names):
        yield _said(place, f"expected {' or '.join(names)}, got {_shown(value)}")


def _required(value: Any, expected: list[str], root: Any, place: str, _: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (_said(place, f"{name!r} is missing") for name in expected if name not in value)


def _properties(value: Any, expected: Mapping[str, Any], root: Mapping[str, Any], place: str, _: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, schema in expected.items():
            if name in value:
                yield from _faults(value[name], schema, root, f"{place}.{name}" if place else name)


def _others(value: Any, expected: Any, root: Mapping[str, Any], place: str, schema: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(value, dict):
        return
    known = schema.get("properties", {})
    for name in value:
        if name in known:
            continue
        if expected is False:
            yield _said(place, f"unknown field {_shown(name)}")
        elif expected is not True:
            yield from _faults(value[name], expected, root, f"{place}.{name}" if place else str(name))


def _items(value: Any, expected: Mapping[str, Any], root: Mapping[str, Any], place: str, _: Any) -> Iterator[str]:
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _faults(item, expected, root, f"{place}[{number}]")


def _all_of(value: Any, expected: list[Any], root: Mapping[str, Any], place: str, _: Any) -> Iterator[str]:
    for schema in expected:
        yield from _faults(value, schema, root, place)


def _one_of(value: Any, expected: list[Any], root: Mapping[str, Any], place: str, _: Any) -> Iterator[str]:
    tried = [list(_faults(value, schema, root, place)) for schema in expected]
    if sum(not faults for faults in tried) != 1:
        yield from min((faults for faults in tried if faults), key=len, default=[_said(place, "fits several forms")])


def _const(value: Any, expected: Any, root: Any, place: str, _: Any) -> Iterator[str]:
    if value != expected:
        yield _said(place, f"expected {expected!r}, got {_shown(value)}")


def _enum(value: Any, expected: list[Any], root: Any, place: str, _: Any) -> Iterator[str]:
    if value not in expected:
        yield _said(place, f"expected one of {', '.join(map(repr, expected))}, got {_shown(value)}")


def _pattern(value: Any, expected: str, root: Any, place: str, _: Any) -> Iterator[str]:
    if isinstance(value, str) and re.search(expected, value) is None:
        yield _said(place, f"expected a text like {expected}, got {_shown(value)}")


def _bound(word: str) -> Any:
    def check(value: Any, expected: float, root: Any, place: str, _: Any) -> Iterator[str]:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return
        fits = {"minimum": value >= expected, "maximum": value <= expected, "exclusiveMinimum": value > expected,
                "exclusiveMaximum": value < expected}[word]  # fmt: skip
        if not fits:  # NaN fits no bound
            yield _said(place, f"{word} is {expected}, got {_shown(value)}")

    return check


def _length(word: str, kind: type, *, most: bool) -> Any:
    def check(value: Any, expected: int, root: Any, place: str, _: Any) -> Iterator[str]:
        if isinstance(value, kind) and (len(value) > expected if most else len(value) < expected):  # type: ignore[arg-type]
            yield _said(place, f"{word} is {expected}, got {len(value)}")  # type: ignore[arg-type]

    return check


_WORDS: Final[Mapping[str, Any]] = {
    "$ref": _reference, "type": _type, "required": _required, "properties": _properties, "items": _items,
    "additionalProperties": _others, "allOf": _all_of, "oneOf": _one_of, "const": _const, "enum": _enum,
    "pattern": _pattern, **{word: _bound(word) for word in
                            ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")},
    "minItems": _length("minItems", list, most=False), "maxItems": _length("maxItems", list, most=True),
    "minLength": _length("minLength", str, most=False), "maxLength": _length("maxLength", str, most=True),
}  # fmt: skip
