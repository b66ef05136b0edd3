"""The language of the shapes world: scene to prompt and back, in two wordings.

::

    prompt     = content " on " background | background " with " content
    background = "a " tone " " pattern " background"
    content    = group | group " and " group | thing " " relation " " thing | "a " color " sign that reads " glyphs
    group      = "one " color " " shape | ("two" | "three" | "four") " " color " " shapes
    thing      = "a " color " " shape
    relation   = "left of" | "right of" | "above" | "below"
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from enum import StrEnum

from paircomp.shapes.glyphs import GLYPHS
from paircomp.shapes.palette import COLORS, PATTERNS, PLURALS, SHAPES, TONES
from paircomp.shapes.scene import OPPOSITES, Background, Group, Groups, Relation, Scene, Sign, Thing

__all__ = ["OutsideGrammarError", "Wording", "parse_prompt", "vocabulary", "write_prompt"]

_NUMBERS = ("one", "two", "three", "four")
_RELATIONS = {"left": "left of", "right": "right of", "above": "above", "below": "below"}
_SINGULARS = {plural: shape for shape, plural in PLURALS.items()}
_EXAMPLE = "two red circles on a dark striped background"


class Wording(StrEnum):
    """The two ways to say a scene."""

    CONTENT_FIRST = "content_first"
    BACKGROUND_FIRST = "background_first"


class OutsideGrammarError(ValueError):
    """The prompt says nothing in the language of the shapes world."""

    def __init__(self, prompt: str, problem: str) -> None:
        super().__init__(f"prompt is outside the shapes grammar: {prompt!r}: {problem}; expected such as {_EXAMPLE!r}")


def write_prompt(scene: Scene, wording: Wording = Wording.CONTENT_FIRST) -> str:
    """The prompt of a scene.

    Example:
        >>> from paircomp.shapes.scene import Background, Sign
        >>> write_prompt(Sign("red", "AT", Background("dark", "plain")))
        'a red sign that reads AT on a dark plain background'
    """
    ground = f"a {scene.background.tone} {scene.background.pattern} background"
    content = _content(scene)
    return f"{content} on {ground}" if wording is Wording.CONTENT_FIRST else f"{ground} with {content}"


def _content(scene: Scene) -> str:
    match scene:
        case Groups():
            return " and ".join(map(_group, scene.groups))
        case Relation():
            return f"{_thing(scene.first)} {_RELATIONS[scene.relation]} {_thing(scene.second)}"
        case Sign():
            return f"a {scene.color} sign that reads {scene.text}"


def _group(group: Group) -> str:
    shape = group.thing.shape if group.count == 1 else PLURALS[group.thing.shape]
    return f"{_NUMBERS[group.count - 1]} {group.thing.color} {shape}"


def _thing(thing: Thing) -> str:
    return f"a {thing.color} {thing.shape}"


def _either(words: Sequence[str], name: str = "") -> str:
    return f"({f'?P<{name}>' if name else ''}{'|'.join(words)})"


_COLOR = _either(tuple(COLORS))
_SHAPE = _either(SHAPES)
_GROUP = rf"(one {_COLOR} {_SHAPE}|{_either(_NUMBERS[1:])} {_COLOR} {_either(tuple(_SINGULARS))})"
_BACKGROUND = f"a {_either(TONES, 'tone')} {_either(PATTERNS, 'pattern')} background"
_PROMPTS = (
    re.compile(f"(?P<content>.+) on {_BACKGROUND}"),
    re.compile(f"{_BACKGROUND} with (?P<content>.+)"),
)
_GROUPS = re.compile(f"{_GROUP}( and {_GROUP})?")
_PAIR = re.compile(f"a {_COLOR} {_SHAPE} {_either(tuple(_RELATIONS.values()))} a {_COLOR} {_SHAPE}")
_SIGN = re.compile(f"a {_COLOR} sign that reads ([{''.join(GLYPHS)}]{{1,2}})")


@functools.lru_cache(maxsize=4096)
def parse_prompt(prompt: str) -> Scene:
    """The scene that a prompt asks for, in either wording; the inverse of :func:`write_prompt`.

    Raises:
        OutsideGrammarError: the text is no prompt of the shapes world, or asks for what cannot be, such as five things.
    """
    for pattern in _PROMPTS:
        if match := pattern.fullmatch(prompt):
            background = Background(match["tone"], match["pattern"])
            try:
                return _scene(match["content"], background)
            except ValueError as error:
                raise OutsideGrammarError(prompt, str(error)) from None
    raise OutsideGrammarError(prompt, "no background is named")


def _scene(content: str, background: Background) -> Scene:
    if _GROUPS.fullmatch(content):
        return Groups(tuple(map(_read_group, content.split(" and "))), background)
    if match := _PAIR.fullmatch(content):
        color, shape, relation, other_color, other_shape = match.groups()
        word = relation.removesuffix(" of")
        return Relation(Thing(color, shape), word, Thing(other_color, other_shape), background)
    if match := _SIGN.fullmatch(content):
        return Sign(match[1], match[2], background)
    raise ValueError(f"cannot read {content!r}")


def _read_group(words: str) -> Group:
    number, color, shape = words.split(" ")
    return Group(_NUMBERS.index(number) + 1, Thing(color, _SINGULARS.get(shape, shape)))


def vocabulary() -> tuple[str, ...]:
    """Every word that prompts are made of, sorted, with the glyphs of signs one by one."""
    fixed = ("a", "and", "background", "of", "on", "reads", "sign", "that", "with")
    lists = (fixed, COLORS, SHAPES, PLURALS.values(), _NUMBERS, OPPOSITES, TONES, PATTERNS, GLYPHS)
    return tuple(sorted({word for words in lists for word in words}))
