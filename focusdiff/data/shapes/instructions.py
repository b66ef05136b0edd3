"""Edits of the shapes world in words: from two scenes to an instruction, and from an instruction to what it demands.

::

    make the [two] red circle[s] blue          turn the [two] red circle[s] into [a] square[s]
    change the number of red circles to three  put the red circle right of the blue square
    make the background dark | striped         make the red sign blue      change the sign to read AB
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from paircomp.shapes.palette import COLORS, PATTERNS, PLURALS, SHAPES, TONES
from paircomp.shapes.scene import Groups, Relation, Scene, Sign, Thing, things
from paircomp.types import Subtask

__all__ = ["Demand", "read_instruction", "write_instruction"]

_NUMBERS = ("one", "two", "three", "four")
_SINGULARS = {plural: shape for shape, plural in PLURALS.items()} | {shape: shape for shape in SHAPES}
_WORDS = {"left": "left of", "right": "right of", "above": "above", "below": "below"}


@dataclass(frozen=True)
class Demand:
    """What an instruction demands.

    Attributes:
        subtask: what kind of edit it is.
        thing: the thing that is to change; ``None`` for the background and the sign.
        becomes: what that thing is to become.
        count: how many of the thing there shall be.
        relation: how the thing shall stand to `other`.
        other: the thing that stays.
        word: the new tone, pattern, colour or text of the background or sign.
    """

    subtask: Subtask
    thing: Thing | None = None
    becomes: Thing | None = None
    count: int | None = None
    relation: str | None = None
    other: Thing | None = None
    word: str | None = None


def write_instruction(before: Scene, after: Scene, subtask: Subtask) -> str:
    """The instruction that leads from one scene to the other.

    Args:
        before: the scene as it was.
        after: one of ``paircomp.shapes.edits(before, subtask)``.
        subtask: what is changed.

    Example:
        >>> from paircomp.shapes import parse_prompt
        >>> one, other = (parse_prompt(f"two {color} circles on a dark plain background") for color in ("red", "blue"))
        >>> write_instruction(one, other, Subtask.COLOR)
        'make the two red circles blue'
    """
    if before.background != after.background:
        new, old = after.background, before.background
        return f"make the background {new.tone if new.tone != old.tone else new.pattern}"
    if isinstance(before, Sign) and isinstance(after, Sign):
        recolored = f"make the {before.color} sign {after.color}"
        return recolored if subtask is Subtask.COLOR else f"change the sign to read {after.text}"
    if isinstance(before, Relation) and isinstance(after, Relation) and before.relation != after.relation:
        first, second = _said(before.first, 1), _said(before.second, 1)
        return f"put the {first} {_WORDS[after.relation]} the {second}"
    if isinstance(before, Groups) and isinstance(after, Groups) and subtask is Subtask.COUNTING:
        old_group, new_group = next(
            both for both in zip(before.groups, after.groups, strict=True) if both[0] != both[1]
        )
        return f"change the number of {_said(old_group.thing, 2)} to {_NUMBERS[new_group.count - 1]}"
    return _thing_changed(before, after)


def _thing_changed(before: Scene, after: Scene) -> str:
    place = next(at for at, both in enumerate(zip(things(before), things(after), strict=True)) if both[0] != both[1])
    old, new = things(before)[place], things(after)[place]
    count = before.groups[place].count if isinstance(before, Groups) else 1
    named = f"{_NUMBERS[count - 1]} {_said(old, count)}" if count > 1 else _said(old, 1)
    if old.color != new.color:
        return f"make the {named} {new.color}"
    return f"turn the {named} into {PLURALS[new.shape] if count > 1 else f'a {new.shape}'}"


def _said(thing: Thing, count: int) -> str:
    return f"{thing.color} {thing.shape if count == 1 else PLURALS[thing.shape]}"


def _either(words: Iterable[str]) -> str:
    return f"({'|'.join(words)})"


_COLOR, _SHAPE = _either(COLORS), _either(_SINGULARS)
_NAMED = f"(?:(?:{'|'.join(_NUMBERS)}) )?{_COLOR} {_SHAPE}"
_BACKGROUND = re.compile(f"make the background {_either((*TONES, *PATTERNS))}")
_SIGN_COLOR = re.compile(f"make the {_COLOR} sign {_COLOR}")
_SIGN_TEXT = re.compile(r"change the sign to read (\w{1,2})")
_THING_COLOR = re.compile(f"make the {_NAMED} {_COLOR}")
_THING_SHAPE = re.compile(f"turn the {_NAMED} into (?:a )?{_SHAPE}")
_COUNT = re.compile(f"change the number of {_COLOR} {_SHAPE} to {_either(_NUMBERS)}")
_PLACE = re.compile(f"put the {_COLOR} {_SHAPE} {_either(_WORDS.values())} the {_COLOR} {_SHAPE}")


def read_instruction(text: str) -> Demand | None:
    """What the instruction demands; ``None`` where it is none of :func:`write_instruction`."""
    if found := _BACKGROUND.fullmatch(text):
        return Demand(Subtask.STYLE_TONE, word=found[1])
    if found := _SIGN_COLOR.fullmatch(text):
        return Demand(Subtask.COLOR, word=found[2])
    if found := _SIGN_TEXT.fullmatch(text):
        return Demand(Subtask.TEXT, word=found[1])
    if found := _PLACE.fullmatch(text):
        relation = next(name for name, words in _WORDS.items() if words == found[3])
        return Demand(Subtask.POSITION, _thing(found[1], found[2]), relation=relation, other=_thing(found[4], found[5]))
    return _about_things(text)


def _about_things(text: str) -> Demand | None:
    if found := _COUNT.fullmatch(text):
        thing = _thing(found[1], found[2])
        return Demand(Subtask.COUNTING, thing, count=_NUMBERS.index(found[3]) + 1)
    if found := _THING_COLOR.fullmatch(text):
        thing = _thing(found[1], found[2])
        return Demand(Subtask.COLOR, thing, becomes=Thing(found[3], thing.shape))
    if found := _THING_SHAPE.fullmatch(text):
        thing = _thing(found[1], found[2])
        return Demand(Subtask.OVERALL_APPEARANCE, thing, becomes=Thing(thing.color, _SINGULARS[found[3]]))
    return None


def _thing(color: str, shape: str) -> Thing:
    return Thing(color, _SINGULARS[shape])
