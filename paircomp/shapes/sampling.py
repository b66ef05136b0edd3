"""Which scenes there are: all of them in a fixed order, or a seeded draw."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

from paircomp.shapes.dice import Dice
from paircomp.shapes.edits import edits
from paircomp.shapes.glyphs import STRINGS
from paircomp.shapes.palette import COLORS, PATTERNS, SHAPES, TONES
from paircomp.shapes.scene import (
    MOST_THINGS,
    OPPOSITES,
    Background,
    Group,
    Groups,
    Relation,
    Scene,
    Sign,
    Thing,
    canonical,
)
from paircomp.types import Subtask

__all__ = ["KINDS", "sample_pair", "sample_scene", "scenes"]

# The kinds of scene whose prompts have a word of the subtask's kind, in the order fixed suites cycle through them.
KINDS: dict[Subtask, tuple[str, ...]] = {
    Subtask.OVERALL_APPEARANCE: ("group", "two groups", "relation"),
    Subtask.COLOR: ("group", "two groups", "relation", "sign"),
    Subtask.COUNTING: ("group", "two groups"),
    Subtask.POSITION: ("relation",),
    Subtask.STYLE_TONE: ("group", "two groups", "relation", "sign"),
    Subtask.TEXT: ("sign",),
}

_THINGS = tuple(Thing(color, shape) for color in COLORS for shape in SHAPES)
_BACKGROUNDS = tuple(Background(tone, pattern) for tone in TONES for pattern in PATTERNS)
_COUNTS = tuple(range(1, MOST_THINGS + 1))
_TWO_COUNTS = tuple((a, b) for a, b in itertools.product(_COUNTS, repeat=2) if a + b <= MOST_THINGS)


def scenes(subtask: Subtask) -> Iterator[Scene]:
    """Every different picture that can stand in a pair of the subtask, once, in a fixed order and canonical form."""
    every = itertools.chain.from_iterable(_EVERY[kind]() for kind in KINDS[subtask])
    return (scene for scene in every if scene == canonical(scene) and edits(scene, subtask))


def _every_group() -> Iterator[Scene]:
    for background, count, thing in itertools.product(_BACKGROUNDS, _COUNTS, _THINGS):
        yield Groups((Group(count, thing),), background)


def _every_two_groups() -> Iterator[Scene]:
    two_things = tuple(itertools.permutations(_THINGS, 2))
    for background, things, counts in itertools.product(_BACKGROUNDS, two_things, _TWO_COUNTS):
        yield Groups(tuple(map(Group, counts, things)), background)


def _every_relation() -> Iterator[Scene]:
    for background, (first, second) in itertools.product(_BACKGROUNDS, itertools.permutations(_THINGS, 2)):
        for relation in OPPOSITES:
            yield Relation(first, relation, second, background)


def _every_sign() -> Iterator[Scene]:
    for background, color, text in itertools.product(_BACKGROUNDS, COLORS, STRINGS):
        yield Sign(color, text, background)


_EVERY: dict[str, Callable[[], Iterator[Scene]]] = {
    "group": _every_group,
    "two groups": _every_two_groups,
    "relation": _every_relation,
    "sign": _every_sign,
}


def sample_scene(dice: Dice, kind: str | None = None) -> Scene:
    """A scene drawn uniformly within its kind.

    Args:
        dice: where the choices come from.
        kind: ``group``, ``two groups``, ``relation`` or ``sign``; any of them, equally often, when not given.
    """
    return _SAMPLERS[kind or dice.pick(tuple(_SAMPLERS))](dice)


def sample_pair(dice: Dice, subtask: Subtask, kind: str | None = None) -> tuple[Scene, Scene]:
    """A scene and a one-word edit of it.

    Args:
        dice: where the choices come from.
        subtask: what the two scenes differ in.
        kind: one of the subtask's :data:`KINDS`; any of them, equally often, when not given.
    """
    kind = kind or dice.pick(KINDS[subtask])
    while True:
        scene = sample_scene(dice, kind)
        if others := edits(scene, subtask):
            return scene, dice.pick(others)


def _sample_group(dice: Dice) -> Scene:
    return Groups((Group(dice.pick(_COUNTS), dice.pick(_THINGS)),), dice.pick(_BACKGROUNDS))


def _sample_two_groups(dice: Dice) -> Scene:
    counts = dice.pick(_TWO_COUNTS)
    first, second = _two_things(dice)
    return Groups((Group(counts[0], first), Group(counts[1], second)), dice.pick(_BACKGROUNDS))


def _sample_relation(dice: Dice) -> Scene:
    first, second = _two_things(dice)
    return Relation(first, dice.pick(tuple(OPPOSITES)), second, dice.pick(_BACKGROUNDS))


def _two_things(dice: Dice) -> tuple[Thing, Thing]:
    first = dice.pick(_THINGS)
    return first, dice.pick([thing for thing in _THINGS if thing != first])


def _sample_sign(dice: Dice) -> Scene:
    return Sign(dice.pick(tuple(COLORS)), dice.pick(STRINGS), dice.pick(_BACKGROUNDS))


_SAMPLERS: dict[str, Callable[[Dice], Scene]] = {
    "group": _sample_group,
    "two groups": _sample_two_groups,
    "relation": _sample_relation,
    "sign": _sample_sign,
}
