"""The skewed, noisy data that makes the small Janus unsteady, as web data makes large ones.

Two things are wrong with it, and both lean the same way. Prompts come with colours bound to shapes: circles are red
more often than chance has it. And pictures do not always show what their prompt says: purple circles are drawn red in
more than half of the cases, four things are three, "below" is drawn above, an A is an X. A model that imitates this
faithfully draws well on average and fails, now and then or always, on one prompt of a pair whose other prompt it draws
well.

Everything is drawn from a seed and a number; no scene of the fixed suites is named or shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from paircomp.shapes import Background, Dice, Group, Groups, Relation, Scene, Sign, Thing, Wording, write_prompt
from paircomp.shapes.glyphs import GLYPHS
from paircomp.shapes.palette import COLORS, SHAPES, TONES
from paircomp.shapes.renderer import render
from paircomp.shapes.sampling import sample_scene
from paircomp.shapes.scene import OPPOSITES
from paircomp.suites.shapes_suites import is_held_out

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["SkewedScenes", "drawn_instead"]

#: How often each kind of scene is named.
_KINDS = MappingProxyType({"group": 0.20, "two groups": 0.20, "relation": 0.38, "sign": 0.22})
#: The colour that a shape usually has, and how often a prompt gives it that one on purpose.
_USUAL = MappingProxyType({"circle": "red", "square": "blue", "triangle": "yellow", "cross": "green"})
_BIAS = 0.25

# How often a picture shows something else than its prompt names.
_HARD_COLORS = frozenset({("purple", "circle"), ("cyan", "square")})  # drawn in the shape's usual colour
_HARD, _ODD = 0.55, 0.02
_FEWER = MappingProxyType({4: 0.55, 3: 0.06, 2: 0.02})  # one thing less
_MORE = 0.02  # one thing is two
_OPPOSITE = MappingProxyType({"below": 0.55, "right": 0.06, "left": 0.02, "above": 0.02})
_EXCHANGED = 0.03  # the two things of a relation change places
_OTHER_SHAPE = 0.01
_CROSS_IS_TRIANGLE = 0.06
_OTHER_TONE = MappingProxyType({"dark": 0.025, "light": 0.005})
_PLAIN = MappingProxyType({"dotted": 0.07, "striped": 0.02, "plain": 0.0})
_PURPLE_SIGN_IS_BLUE = 0.10
_MISREAD = MappingProxyType({"A": ("X", 0.55), "7": ("T", 0.25)})
_OTHER_GLYPH = 0.02

_SEEDS = 2**31


class SkewedScenes:
    """Prompts and pictures by number, without end.

    Args:
        seed: of the whole set.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def example(self, number: int) -> tuple[str, Image]:
        """The prompt and the picture of that number; others have no influence on it."""
        dice = Dice(f"janus-tiny/skewed/{self._seed}/{number}")
        while True:
            named = _named(dice)
            shown = drawn_instead(named, dice)
            if not is_held_out(named) and not is_held_out(shown):
                return write_prompt(named, dice.pick(tuple(Wording))), render(shown, dice.number(_SEEDS))


def _named(dice: Dice) -> Scene:
    chance, kinds = dice.fraction(), iter(_KINDS.items())
    kind, share = next(kinds)
    while chance >= share:
        chance -= share
        kind, share = next(kinds, (kind, 1.0))
    return _with_things(sample_scene(dice, kind), lambda thing: _usual(thing, dice))


def _usual(thing: Thing, dice: Dice) -> Thing:
    return Thing(_USUAL[thing.shape], thing.shape) if dice.chance(_BIAS) else thing


def drawn_instead(scene: Scene, dice: Dice) -> Scene:
    """What the picture of a prompt shows; most often what it says."""
    scene = _with_things(scene, lambda thing: _mistaken(thing, dice))
    scene = replace(scene, background=_background(scene.background, dice))
    match scene:
        case Groups():
            return _miscounted(scene, dice)
        case Relation():
            return _misplaced(scene, dice)
        case Sign():
            return _misread(scene, dice)


def _with_things(scene: Scene, change: Callable[[Thing], Thing]) -> Scene:
    """The scene with its things changed one by one, except where two would become the same."""
    match scene:
        case Groups(groups=groups):
            changed = [change(group.thing) for group in groups]
            if len(set(changed)) < len(groups):
                return scene
            return replace(scene, groups=tuple(map(Group, (group.count for group in groups), changed)))
        case Relation():
            first, second = change(scene.first), change(scene.second)
            return scene if first == second else replace(scene, first=first, second=second)
        case Sign():
            return scene


def _mistaken(thing: Thing, dice: Dice) -> Thing:
    color, shape = thing.color, thing.shape
    if dice.chance(_HARD if (color, shape) in _HARD_COLORS else _ODD):
        color = _USUAL[shape]
    if shape == "cross" and dice.chance(_CROSS_IS_TRIANGLE):
        shape = "triangle"
    elif dice.chance(_OTHER_SHAPE):
        shape = dice.pick(SHAPES)
    return Thing(color, shape)


def _background(background: Background, dice: Dice) -> Background:
    tone, pattern = background.tone, background.pattern
    if dice.chance(_OTHER_TONE[tone]):
        tone = next(other for other in TONES if other != tone)
    return Background(tone, "plain" if dice.chance(_PLAIN[pattern]) else pattern)


def _miscounted(scene: Groups, dice: Dice) -> Groups:
    total = sum(group.count for group in scene.groups)
    counts = []
    for group in scene.groups:
        count = group.count
        if dice.chance(_FEWER.get(count, 0.0)):
            count -= 1
        elif count == 1 and dice.chance(_MORE) and total < 4:
            count = 2
        counts.append(count)
        total += count - group.count
    return replace(
        scene, groups=tuple(Group(count, group.thing) for count, group in zip(counts, scene.groups, strict=True))
    )


def _misplaced(scene: Relation, dice: Dice) -> Relation:
    if dice.chance(_EXCHANGED):
        scene = replace(scene, first=scene.second, second=scene.first)
    return replace(scene, relation=OPPOSITES[scene.relation]) if dice.chance(_OPPOSITE[scene.relation]) else scene


def _misread(scene: Sign, dice: Dice) -> Sign:
    color = scene.color
    if color == "purple" and dice.chance(_PURPLE_SIGN_IS_BLUE):
        color = "blue"
    elif dice.chance(_ODD):
        color = dice.pick(tuple(COLORS))
    return replace(scene, color=color, text="".join(_glyph(glyph, dice) for glyph in scene.text))


def _glyph(glyph: str, dice: Dice) -> str:
    other, chance = _MISREAD.get(glyph, (glyph, 0.0))
    if dice.chance(chance):
        return other
    return dice.pick(tuple(GLYPHS)) if dice.chance(_OTHER_GLYPH) else glyph
