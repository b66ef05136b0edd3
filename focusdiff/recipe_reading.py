"""Reading a recipe: TOML into frozen dataclasses, with every fault in one error.

A recipe is the name of one that ships (`focusdiff/recipes/KIND/*.toml`) or a path. A section is a dataclass, a key one
of its fields; keys that are left out take the field's default.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from paircomp.errors import ConfigError, UnknownNameError

__all__ = ["read_recipe", "recipe_from", "shipped_recipes", "with_values"]

Recipe = TypeVar("Recipe")


def shipped_recipes(folder: str) -> dict[str, Path]:
    """Recipes of a kind (``rl``, ``sft``) that come with the package, by name."""
    place = Path(str(resources.files("focusdiff"))) / "recipes" / folder
    return {path.stem: path for path in sorted(place.glob("*.toml"))}


def read_recipe(kind: type[Recipe], name: str, *, folder: str, values: Mapping[str, Any] | None = None) -> Recipe:
    """A recipe by name or path.

    Args:
        kind: the dataclass it becomes.
        name: of a shipped recipe, or a path that ends in ``.toml``.
        folder: of shipped recipes of this kind, ``rl`` for instance.
        values: ``{"section.key": value}`` that go before the file's.

    Raises:
        UnknownNameError: no such recipe.
        ConfigError: the file cannot be read, or names every fault in it.
    """
    shipped = shipped_recipes(folder)
    path = Path(name) if name.endswith(".toml") else shipped.get(name)
    if path is None:
        raise UnknownNameError("recipe", name, shipped)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError([f"cannot be read: {error}"], where=f"recipe {path}") from error
    return recipe_from(kind, with_values(table, values or {}), where=f"recipe {name}")


def with_values(table: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """`table` with single values put in their places.

    Args:
        table: as TOML gives it.
        values: ``{"section.key": value}``.
    """
    changed: dict[str, Any] = {
        key: dict(value) if isinstance(value, Mapping) else value for key, value in table.items()
    }
    for name, value in values.items():
        *sections, key = name.split(".")
        place = changed
        for section in sections:
            place = place.setdefault(section, {})
        place[key] = value
    return changed


def recipe_from(kind: type[Recipe], table: Mapping[str, Any], *, where: str) -> Recipe:
    """A recipe from a table.

    Raises:
        ConfigError: names every unknown key, wrong type and value that does not fit at once.
    """
    faults: list[str] = []
    recipe = _section(kind, table, "", faults)
    if not faults:
        faults += _own_faults(recipe, "")
    if faults:
        raise ConfigError(faults, where=where)
    return typing.cast(Recipe, recipe)


def _section(kind: Any, table: Mapping[str, Any], place: str, faults: list[str]) -> Any:
    fields = {field.name: field for field in dataclasses.fields(kind)}
    hints = typing.get_type_hints(kind)
    faults += [f"{place}{key}: unknown, {_near(key, fields)}" for key in table if key not in fields]
    values = {}
    for name, field in fields.items():
        if name in table:
            values[name] = _value(hints[name], table[name], f"{place}{name}", faults)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            faults.append(f"{place}{name}: required")
    return None if faults else kind(**values)


def _near(key: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"


def _value(hint: Any, value: Any, name: str, faults: list[str]) -> Any:
    if dataclasses.is_dataclass(hint):
        if isinstance(value, Mapping):
            return _section(hint, value, f"{name}.", faults)
        faults.append(f"{name}: expected a section, got {value!r}")
        return None
    converted, fits = _converted(hint, value)
    if not fits:
        faults.append(f"{name}: expected {_said(hint)}, got {value!r}")
    return converted


def _converted(hint: Any, value: Any) -> tuple[Any, bool]:
    """The value as the field wants it (lists become tuples, whole numbers floats), and whether it fits."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        tried = [_converted(choice, value) for choice in arguments]
        return next(((found, True) for found, fits in tried if fits), (value, False))
    if origin is typing.Literal:
        return value, value in arguments
    if origin is tuple:
        return _tuple(arguments, value)
    if hint in (int, float):
        fits = _number(value) and (hint is float or isinstance(value, int))
        return (hint(value) if fits else value), fits
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return value, isinstance(value, Mapping)
    return value, isinstance(value, hint)


def _tuple(arguments: Sequence[Any], value: Any) -> tuple[Any, bool]:
    if not isinstance(value, (list, tuple)):
        return value, False
    hints = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
    if len(hints) != len(value):
        return value, False
    found = [_converted(hint, item) for hint, item in zip(hints, value, strict=True)]
    return tuple(item for item, _ in found), all(fits for _, fits in found)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _said(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return ", ".join(map(repr, arguments))
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(_said, arguments))
    if origin is tuple:
        inside = f"{_said(arguments[0])} ..." if arguments[-1] is Ellipsis else ", ".join(map(_said, arguments))
        return f"[{inside}]"
    words = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", type(None): "nothing"}
    return words.get(hint, "a table" if origin is not None else str(getattr(hint, "__name__", hint)))


def _own_faults(recipe: Any, place: str) -> Iterator[str]:
    """What the sections themselves find wrong with their values."""
    if callable(check := getattr(recipe, "faults", None)):
        yield from (f"{place}{fault}" for fault in check())
    for field in dataclasses.fields(recipe):
        value = getattr(recipe, field.name)
        if dataclasses.is_dataclass(value):
            yield from _own_faults(value, f"{place}{field.name}.")
