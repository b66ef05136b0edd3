"""What a picture of the shapes world shows: groups of things, two things in a relation, or a sign.

A scene keeps the order in which a prompt names its parts, so that an edit of the scene is an edit of one word of the
prompt. ``canonical(scene)`` forgets that order: two scenes are the same picture when their canonical forms are equal.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import TypeAlias

from paircomp.shapes.glyphs import STRINGS
from paircomp.shapes.palette import COLORS, PATTERNS, SHAPES, TONES

__all__ = [
    "MOST_THINGS",
    "OPPOSITES",
    "Background",
    "Group",
    "Groups",
    "Relation",
    "Scene",
    "Sign",
    "Thing",
    "canonical",
    "things",
]

MOST_THINGS = 4
OPPOSITES: dict[str, str] = {"left": "right", "right": "left", "above": "below", "below": "above"}
_MIRRORED = ("right", "below")


def _check(what: str, value: object, known: object) -> None:
    if value not in known:  # type: ignore[operator]
        raise ValueError(f"{what}: expected one of {', '.join(known)}, got {value!r}")  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Background:
    """What the things stand on: a tone (light, dark) and a pattern (plain, striped, dotted)."""

    tone: str
    pattern: str

    def __post_init__(self) -> None:
        _check("tone", self.tone, TONES)
        _check("pattern", self.pattern, PATTERNS)


@dataclass(frozen=True, slots=True)
class Thing:
    """A shape in a colour."""

    color: str
    shape: str

    def __post_init__(self) -> None:
        _check("color", self.color, COLORS)
        _check("shape", self.shape, SHAPES)


@dataclass(frozen=True, slots=True)
class Group:
    """One to four equal things."""

    count: int
    thing: Thing

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MOST_THINGS:
            raise ValueError(f"count: expected 1 to {MOST_THINGS}, got {self.count}")


@dataclass(frozen=True, slots=True)
class Groups:
    """One or two groups of different things, four things at most, anywhere on the background."""

    groups: tuple[Group, ...]
    background: Background

    def __post_init__(self) -> None:
        if not 1 <= len(self.groups) <= 2:
            raise ValueError(f"groups: expected one or two, got {len(self.groups)}")
        if sum(group.count for group in self.groups) > MOST_THINGS:
            raise ValueError(f"groups: expected {MOST_THINGS} things at most, got {self.groups}")
        if len({group.thing for group in self.groups}) < len(self.groups):
            raise ValueError(f"groups: expected different things, got {self.groups[0].thing} twice")


@dataclass(frozen=True, slots=True)
class Relation:
    """Two different things, the first ``left`` of, ``right`` of, ``above`` or ``below`` the second."""

    first: Thing
    relation: str
    second: Thing
    background: Background

    def __post_init__(self) -> None:
        _check("relation", self.relation, OPPOSITES)
        if self.first == self.second:
            raise ValueError(f"relation: expected different things, got {self.first} twice")


@dataclass(frozen=True, slots=True)
class Sign:
    """A coloured sign with one or two glyphs to read."""

    color: str
    text: str
    background: Background

    def __post_init__(self) -> None:
        _check("color", self.color, COLORS)
        _check("text", self.text, STRINGS)


Scene: TypeAlias = Groups | Relation | Sign


def things(scene: Scene) -> tuple[Thing, ...]:
    """The different things of a scene, in the order its prompt names them; none for a sign."""
    match scene:
        case Groups():
            return tuple(group.thing for group in scene.groups)
        case Relation():
            return (scene.first, scene.second)
        case Sign():
            return ()


def canonical(scene: Scene) -> Scene:
    """The same picture, with its parts in a fixed order.

    Groups are sorted, and ``right`` and ``below`` are turned into ``left`` and ``above`` by naming the other thing
    first. Held-out scenes are compared in this form.
    """
    match scene:
        case Groups():
            return Groups(tuple(sorted(scene.groups, key=astuple)), scene.background)
        case Relation() if scene.relation in _MIRRORED:
            return Relation(scene.second, OPPOSITES[scene.relation], scene.first, scene.background)
        case _:
            return scene
