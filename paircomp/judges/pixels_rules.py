"""From what is seen and what is asked to named factors: the rules of the ``pixels`` judge.

Each factor is in [0, 1] and the score is their product: a picture is as good as all of its sides together. The
constants are part of the judge's identity: a change of one needs a new :data:`RULES`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

from paircomp.shapes.perception import SeenThing, Sight
from paircomp.shapes.scene import Background, Groups, Relation, Scene, Sign, Thing, things

__all__ = ["RULES", "factors"]

RULES = "pixels/1"

_HALF_CLEAN = 12.0  # wrong pixels that halve the score
_BACKGROUND_SHARPNESS = 110.0  # plain against dotted differ by 0.063 of the range: odds of 1,000 to 1
_SHAPE_SHARPNESS = 28.0  # the two shapes most alike overlap by 0.79: odds of 400 to 1
_TEXT_SHARPNESS = 22.0  # one glyph of two changed leaves an overlap of 0.76 at most: odds of 200 to 1
_SOLID_COLOR = 0.85  # share of a thing's pixels from which its colour is beyond doubt
_OFF_BY_ONE, _OFF_BY_MORE = 0.12, 0.02
_RELATION_SOFTNESS = 1.5  # pixels
_MOST_THINGS_COMPARED = 5  # of more, the smallest are only counted

_Name = TypeVar("_Name")


def factors(sight: Sight, scene: Scene) -> dict[str, float]:
    """How well each side of what is seen fits the scene that is asked for.

    Args:
        sight: what is seen in the picture.
        scene: what the prompt asks for.

    Returns:
        Factors in [0, 1] by name: ``tone``, ``pattern``, ``clean``, ``count``, ``color``, and ``shape`` (things),
        ``relation`` or ``text``, as the scene has them.
    """
    common = {**_background(sight, scene.background), "clean": 2 ** (-sight.wrong_pixels / _HALF_CLEAN)}
    match scene:
        case Groups():
            wanted = [group.thing for group in scene.groups for _ in range(group.count)]
            return common | _groups(sight, wanted)
        case Relation():
            return common | _relation(sight, scene)
        case Sign():
            return common | _sign(sight, scene)


def _soft_choice(logits: Mapping[_Name, float]) -> dict[_Name, float]:
    """Softmax over the values."""
    highest = max(logits.values())
    weights = {name: math.exp(value - highest) for name, value in logits.items()}
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


def _ramp(value: float, low: float, high: float) -> float:
    return min(1.0, max(0.0, (value - low) / (high - low)))


def _background(sight: Sight, wanted: Background) -> dict[str, float]:
    if not sight.backgrounds:
        return {"tone": 0.0, "pattern": 0.0}
    shares = _soft_choice({name: -_BACKGROUND_SHARPNESS * error for name, error in sight.backgrounds.items()})
    return {
        "tone": sum(share for (tone, _), share in shares.items() if tone == wanted.tone),
        "pattern": sum(share for (_, pattern), share in shares.items() if pattern == wanted.pattern),
    }


def _color(seen: Mapping[str, float], wanted: str) -> float:
    return min(1.0, seen[wanted] / _SOLID_COLOR)


def _shape(seen: SeenThing, wanted: str) -> float:
    share = _soft_choice({shape: _SHAPE_SHARPNESS * fit for shape, fit in seen.shapes.items()})[wanted]
    return share * _ramp(seen.shapes[wanted], 0.45, 0.75)


def _count(seen: int, wanted: int) -> float:
    if seen == wanted:
        return 1.0
    return _OFF_BY_ONE if abs(seen - wanted) == 1 else _OFF_BY_MORE


def _groups(sight: Sight, wanted: Sequence[Thing]) -> dict[str, float]:
    seen = sight.things[:_MOST_THINGS_COMPARED]
    fits = {
        thing: [(_color(one.colors, thing.color), _shape(one, thing.shape)) for one in seen] for thing in set(wanted)
    }
    # Which seen thing answers which wanted one is the kindest reading; each side is as good as its worst thing.
    readings = [
        tuple(
            min(sides)
            for sides in zip(*(fits[thing][at] for thing, at in zip(wanted, order, strict=False)), strict=True)
        )
        for order in _orders(len(seen), wanted)
    ]
    color, shape = max(readings, key=math.prod) if seen else (0.0, 0.0)
    return {"count": _count(len(sight.things) + (sight.sign is not None), len(wanted)), "color": color, "shape": shape}


def _orders(seen: int, wanted: Sequence[Thing]) -> Sequence[tuple[int, ...]]:
    taken = min(seen, len(wanted))
    if len(set(wanted)) == 1:  # equal things: their order says nothing
        return tuple(itertools.combinations(range(seen), taken))
    return tuple(itertools.permutations(range(seen), taken))


def _relation(sight: Sight, scene: Relation) -> dict[str, float]:
    seen = sight.things[:_MOST_THINGS_COMPARED]
    count = _count(len(sight.things) + (sight.sign is not None), 2)
    readings = [_reading(first, second, scene) for first, second in itertools.permutations(seen, 2)]
    if not readings:
        return {"count": count, "color": 0.0, "shape": 0.0, "relation": 0.0}
    best = max(readings, key=lambda reading: math.prod(reading.values()))
    return {"count": count, **best}


def _reading(first: SeenThing, second: SeenThing, scene: Relation) -> dict[str, float]:
    one, other = things(scene)
    return {
        "color": min(_color(first.colors, one.color), _color(second.colors, other.color)),
        "shape": min(_shape(first, one.shape), _shape(second, other.shape)),
        "relation": _stands(first, second, scene.relation),
    }


def _stands(first: SeenThing, second: SeenThing, relation: str) -> float:
    """How clearly the first stands so: further along the axis than across it, softly."""
    right, down = first.left - second.left, first.top - second.top
    along = {"left": -right, "right": right, "above": -down, "below": down}[relation]
    across = abs(down) if relation in ("left", "right") else abs(right)
    return 1 / (1 + math.exp(-(along - across) / _RELATION_SOFTNESS))


def _sign(sight: Sight, scene: Sign) -> dict[str, float]:
    count = _count(len(sight.things) + (sight.sign is not None), 1)
    if sight.sign is None:
        return {"count": count, "color": 0.0, "text": 0.0}
    fits = sight.sign.texts
    share = _soft_choice({text: _TEXT_SHARPNESS * fit for text, fit in fits.items()})[scene.text]
    return {
        "count": count,
        "color": _color(sight.sign.colors, scene.color),
        "text": share * _ramp(fits[scene.text], 0.3, 0.6),
    }
