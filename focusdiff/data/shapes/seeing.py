"""What the pictures of an edit show, read off their pixels: for screening and for captions."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator

from paircomp.shapes.layout import PATCH
from paircomp.shapes.perception import SeenThing, Sight
from paircomp.shapes.scene import MOST_THINGS, OPPOSITES, Group, Groups, Relation, Scene, Sign

__all__ = ["readings", "relation_of"]

_STRAIGHT = PATCH  # pixels: two things stand in a relation when they are at most so far from lying on one line
_APART = 3 * PATCH


def relation_of(first: SeenThing, second: SeenThing) -> str | None:
    """How the first thing stands to the second: ``left``, ``right``, ``above``, ``below``; ``None`` where askew."""
    right, down = first.left - second.left, first.top - second.top
    if abs(down) <= _STRAIGHT and abs(right) >= _APART:
        return "right" if right > 0 else "left"
    if abs(right) <= _STRAIGHT and abs(down) >= _APART:
        return "below" if down > 0 else "above"
    return None


def readings(sight: Sight) -> Iterator[Scene]:
    """Every scene that a picture may be said to show: its groups in either order, its relation from either side.

    Nothing is yielded for a picture that the world does not hold: none or five things, or a sign beside a thing.
    """
    if sight.sign is not None:
        if not sight.things:
            yield Sign(sight.sign.color, sight.sign.text, sight.background)
        return
    counts = Counter(seen.thing for seen in sight.things)
    if not 1 <= len(sight.things) <= MOST_THINGS or len(counts) > 2:
        return
    yield from _relations(sight)
    groups = tuple(Group(count, thing) for thing, count in counts.items())
    for order in itertools.permutations(groups):
        yield Groups(order, sight.background)


def _relations(sight: Sight) -> Iterator[Scene]:
    if len(sight.things) != 2 or sight.things[0].thing == sight.things[1].thing:
        return
    first, second = sight.things
    if relation := relation_of(first, second):
        yield Relation(first.thing, relation, second.thing, sight.background)
        yield Relation(second.thing, OPPOSITES[relation], first.thing, sight.background)
