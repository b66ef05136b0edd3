"""Edits of one word: what the two prompts of a pair differ in, subtask by subtask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from paircomp.shapes.glyphs import GLYPHS
from paircomp.shapes.palette import COLORS, PATTERNS, SHAPES, TONES
from paircomp.shapes.scene import MOST_THINGS, OPPOSITES, Group, Groups, Relation, Scene, Sign, Thing, things
from paircomp.types import Subtask

__all__ = ["edits"]


def edits(scene: Scene, subtask: Subtask) -> tuple[Scene, ...]:
    """Every scene whose prompt differs from this scene's in one word of the subtask's kind; empty where none fits.

    ``overall_appearance`` changes a shape, ``color`` a colour, ``counting`` a number, ``position`` the relation into
    its opposite, ``style_tone`` the background's tone or pattern, ``text`` one glyph of the sign. Numbers change
    between two, three and four only: "one circle" and "two circles" differ in two words.
    """
    return tuple(_EDITS[subtask](scene))


def _shapes(scene: Scene) -> Iterator[Scene]:
    for position, thing in enumerate(things(scene)):
        for shape in SHAPES:
            yield from _with_thing(scene, position, Thing(thing.color, shape))


def _colors(scene: Scene) -> Iterator[Scene]:
    if isinstance(scene, Sign):
        yield from (replace(scene, color=color) for color in COLORS if color != scene.color)
    for position, thing in enumerate(things(scene)):
        for color in COLORS:
            yield from _with_thing(scene, position, Thing(color, thing.shape))


def _with_thing(scene: Scene, position: int, thing: Thing) -> Iterator[Scene]:
    """The scene with another thing at `position`, unless it stands there or beside it already."""
    if thing in things(scene):
        return
    match scene:
        case Groups():
            yield _with_group(scene, position, replace(scene.groups[position], thing=thing))
        case Relation():
            yield replace(scene, first=thing) if position == 0 else replace(scene, second=thing)


def _with_group(scene: Groups, position: int, group: Group) -> Groups:
    return replace(scene, groups=(*scene.groups[:position], group, *scene.groups[position + 1 :]))


def _counts(scene: Scene) -> Iterator[Scene]:
    if not isinstance(scene, Groups):
        return
    total = sum(group.count for group in scene.groups)
    for position, group in enumerate(scene.groups):
        for count in range(2, MOST_THINGS - total + group.count + 1):
            if group.count >= 2 and count != group.count:
                yield _with_group(scene, position, replace(group, count=count))


def _relations(scene: Scene) -> Iterator[Scene]:
    if isinstance(scene, Relation):
        yield replace(scene, relation=OPPOSITES[scene.relation])


def _backgrounds(scene: Scene) -> Iterator[Scene]:
    ground = scene.background
    for tone in TONES:
        if tone != ground.tone:
            yield replace(scene, background=replace(ground, tone=tone))
    for pattern in PATTERNS:
        if pattern != ground.pattern:
            yield replace(scene, background=replace(ground, pattern=pattern))


def _texts(scene: Scene) -> Iterator[Scene]:
    if not isinstance(scene, Sign):
        return
    for position, old in enumerate(scene.text):
        for glyph in GLYPHS:
            if glyph != old:
                yield replace(scene, text=scene.text[:position] + glyph + scene.text[position + 1 :])


_EDITS: dict[Subtask, Callable[[Scene], Iterator[Scene]]] = {
    Subtask.OVERALL_APPEARANCE: _shapes,
    Subtask.COLOR: _colors,
    Subtask.COUNTING: _counts,
    Subtask.POSITION: _relations,
    Subtask.STYLE_TONE: _backgrounds,
    Subtask.TEXT: _texts,
}
