"""Where the parts of a scene stand, drawn from a seed.

Everything is aligned to the patch grid: 8 x 8 patches of 4 x 4 pixels. The draw does not look at the scene, so one seed
gives the two scenes of a pair the same layout and their pictures differ only where the word says.
"""

from __future__ import annotations

from typing import NamedTuple

from paircomp.shapes.dice import Dice
from paircomp.shapes.scene import Groups, Relation, Thing

__all__ = ["BOARD_HEIGHT", "BOARD_WIDTH", "PATCH", "SIDE", "THING", "Placement", "board_corner", "placements"]

SIDE = 32  # pixels, width and height of a picture
PATCH = 4
THING = 12  # pixels, width and height of a shape
BOARD_WIDTH = 24
BOARD_HEIGHT = 20

# Columns (or rows) of the four places, in patches: at least one patch lies between two things.
_LANES = ((0, 4), (0, 5), (1, 5))
_FREE = SIDE // PATCH - THING // PATCH  # 5: the last patch at which a thing fits


class Placement(NamedTuple):
    """A thing and the pixel of its upper left corner."""

    thing: Thing
    left: int
    top: int


class _Layout(NamedTuple):
    columns: tuple[int, int]
    rows: tuple[int, int]
    places: list[int]
    base: int
    shifts: tuple[int, int]


def _draw(seed: int) -> _Layout:
    dice = Dice(seed)
    return _Layout(
        columns=dice.pick(_LANES),
        rows=dice.pick(_LANES),
        places=dice.shuffled(range(4)),
        base=dice.number(_FREE),
        shifts=(dice.number(2), dice.number(2)),
    )


def placements(scene: Groups | Relation, seed: int) -> tuple[Placement, ...]:
    """Where each thing of the scene stands; the same for the same scene and seed."""
    layout = _draw(seed)
    return _scattered(scene, layout) if isinstance(scene, Groups) else _related(scene, layout)


def _scattered(scene: Groups, layout: _Layout) -> tuple[Placement, ...]:
    # The second group takes its places from the end: a change of the first group's number moves none of them.
    first = [scene.groups[0].thing] * scene.groups[0].count
    second = [group.thing for group in scene.groups[1:] for _ in range(group.count)]
    places = layout.places[: len(first)] + layout.places[::-1][: len(second)]
    return tuple(
        _placed(thing, layout.columns[place % 2], layout.rows[place // 2])
        for thing, place in zip(first + second, places, strict=True)
    )


def _related(scene: Relation, layout: _Layout) -> tuple[Placement, ...]:
    across = [layout.base + shift for shift in layout.shifts]
    sideways = scene.relation in ("left", "right")
    near_far = list(zip(layout.columns, across, strict=True) if sideways else zip(across, layout.rows, strict=True))
    if scene.relation in ("right", "below"):
        near_far.reverse()
    return tuple(_placed(thing, *at) for thing, at in zip((scene.first, scene.second), near_far, strict=True))


def _placed(thing: Thing, column: int, row: int) -> Placement:
    return Placement(thing, column * PATCH, row * PATCH)


def board_corner(seed: int) -> tuple[int, int]:
    """Left and top pixel of a sign's board; the same for the same seed, whatever the sign says."""
    dice = Dice(seed)
    return (
        dice.number((SIDE - BOARD_WIDTH) // PATCH + 1) * PATCH,
        dice.number((SIDE - BOARD_HEIGHT) // PATCH + 1) * PATCH,
    )
