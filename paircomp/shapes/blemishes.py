"""Blemishes of graded severity: what a picture may have wrong beyond showing another scene.

The `sketch` generator draws with them and the judge's measurement is made on them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from paircomp.shapes.dice import Dice
from paircomp.shapes.layout import SIDE
from paircomp.shapes.palette import COLORS, RGB
from paircomp.shapes.stamps import Mask, Pixels

__all__ = ["BLEMISHES", "blemish"]

Places: TypeAlias = npt.NDArray[np.intp]

_MOST_PIXELS = 48  # a third of a square
_DEEPEST_FADE = 0.35


def blemish(pixels: Pixels, ground: Pixels, kind: str, severity: float, dice: Dice) -> Pixels:
    """A copy of a picture with one blemish.

    Args:
        pixels: ``[32, 32, 3]``, RGB.
        ground: ``[32, 32, 3]``, the bare background of the picture; what differs from it is drawn.
        kind: one of :data:`BLEMISHES`.
        severity: in (0, 1]: 1 to 48 pixels are touched, in proportion; for ``fade``, how far all fade.
        dice: where and in which colour.

    Returns:
        ``[32, 32, 3]``; the argument is left as it is.
    """
    spoilt = pixels.copy()
    BLEMISHES[kind](spoilt, ground, severity, dice)
    return spoilt


def _amount(severity: float) -> int:
    return max(1, round(severity * _MOST_PIXELS))


def _drawn(pixels: Pixels, ground: Pixels) -> Mask:
    return np.asarray((pixels != ground).any(axis=2))


def _other_color(pixels: Pixels, row: int, column: int, dice: Dice) -> RGB:
    here = tuple(pixels[row, column].tolist())
    return dice.pick([color for color in COLORS.values() if color != here])


def _nearest(mask: Mask, row: int, column: int, amount: int) -> tuple[Places, Places]:
    """Rows and columns of the pixels of the mask that lie nearest to a place: a round blob."""
    rows, columns = mask.nonzero()
    nearest = np.argsort((rows - row) ** 2 + (columns - column) ** 2, kind="stable")[:amount]
    return rows[nearest], columns[nearest]


def _drawn_place(pixels: Pixels, ground: Pixels, dice: Dice) -> tuple[int, int]:
    rows, columns = _drawn(pixels, ground).nonzero()
    if len(rows) == 0:
        return dice.number(SIDE), dice.number(SIDE)
    place = dice.number(len(rows))
    return int(rows[place]), int(columns[place])


def _stray_pixels(pixels: Pixels, ground: Pixels, severity: float, dice: Dice) -> None:
    for _ in range(_amount(severity)):
        row, column = dice.number(SIDE), dice.number(SIDE)
        pixels[row, column] = _other_color(pixels, row, column, dice)


def _smudge(pixels: Pixels, ground: Pixels, severity: float, dice: Dice) -> None:
    """A blob of colour anywhere."""
    row, column = dice.number(SIDE), dice.number(SIDE)
    everywhere = np.ones((SIDE, SIDE), dtype=bool)
    pixels[_nearest(everywhere, row, column, _amount(severity))] = _other_color(pixels, row, column, dice)


def _junk(pixels: Pixels, ground: Pixels, severity: float, dice: Dice) -> None:
    """Two blobs of different colours on a thing or on the sign."""
    row, column = _drawn_place(pixels, ground, dice)
    first, second = dice.shuffled([color for color in COLORS.values() if color != tuple(pixels[row, column].tolist())])[
        :2
    ]
    rows, columns = _nearest(np.ones((SIDE, SIDE), dtype=bool), row, column, _amount(severity))
    half = len(rows) // 2
    pixels[rows[half:], columns[half:]] = second
    pixels[rows[:half], columns[:half]] = first


def _wrong_part(pixels: Pixels, ground: Pixels, severity: float, dice: Dice) -> None:
    """A part of what is drawn has another colour."""
    row, column = _drawn_place(pixels, ground, dice)
    color = _other_color(pixels, row, column, dice)
    pixels[_nearest(_drawn(pixels, ground), row, column, _amount(severity))] = color


def _half_drawn(pixels: Pixels, ground: Pixels, severity: float, dice: Dice) -> None:
    """A part of what is drawn is missing."""
    row, column = _drawn_place(pixels, ground, dice)
    gone = _nearest(_drawn(pixels, ground), row, column, _amount(severity))
    pixels[gone] = ground[gone]


def _fade(pixels: Pixels, ground: Pixels, severity: float, dice: Dice) -> None:
    """Everything fades towards grey."""
    share = severity * _DEEPEST_FADE
    pixels[:] = np.rint(pixels * (1 - share) + 128 * share).astype(np.uint8)


BLEMISHES: dict[str, Callable[[Pixels, Pixels, float, Dice], None]] = {
    "stray pixels": _stray_pixels,
    "smudge": _smudge,
    "junk": _junk,
    "wrong part": _wrong_part,
    "half drawn": _half_drawn,
    "fade": _fade,
}
