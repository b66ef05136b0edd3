"""The drawn forms of shapes, writing and backgrounds, as arrays; the renderer stamps them, perception matches them."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from paircomp.shapes.glyphs import GLYPHS, STRINGS
from paircomp.shapes.layout import BOARD_HEIGHT, BOARD_WIDTH, PATCH, SIDE, THING
from paircomp.shapes.palette import BASES, MARKS, PATTERNS, SHAPES, TONES

__all__ = ["BACKGROUNDS", "SHAPE_MASKS", "TEXT_MASKS", "Mask", "Pixels"]

Mask: TypeAlias = npt.NDArray[np.bool_]
Pixels: TypeAlias = npt.NDArray[np.uint8]

_CELL = 2  # pixels, width and height of a glyph's cell
_GLYPH_WIDTH = 8  # pixels from one glyph to the next: two patches
_GLYPH_TOP = 5  # pixels: the writing, 10 high, stands in the middle of the board


def _shape_mask(shape: str) -> Mask:
    y, x = np.mgrid[0:THING, 0:THING] + 0.5
    middle = THING / 2
    across, down = np.abs(x - middle), np.abs(y - middle)
    forms = {
        "circle": across**2 + down**2 <= middle**2,
        "square": np.ones((THING, THING), dtype=bool),
        "triangle": across <= (y + 0.5) / 2,
        "cross": (across < THING / 6) | (down < THING / 6),
    }
    return np.asarray(forms[shape], dtype=bool)


def _glyph_mask(glyph: str) -> Mask:
    cells = np.array([[cell == "1" for cell in row] for row in GLYPHS[glyph]])
    return np.asarray(np.kron(cells, np.ones((_CELL, _CELL), dtype=bool)))


def _text_mask(text: str) -> Mask:
    board = np.zeros((BOARD_HEIGHT, BOARD_WIDTH), dtype=bool)
    left = (BOARD_WIDTH - _GLYPH_WIDTH * len(text)) // 2 + 1
    for position, glyph in enumerate(text):
        mask = _glyph_mask(glyph)
        start = left + position * _GLYPH_WIDTH
        board[_GLYPH_TOP : _GLYPH_TOP + mask.shape[0], start : start + mask.shape[1]] = mask
    return board


def _background(tone: str, pattern: str) -> Pixels:
    # One patch repeats, so that a background costs the codebook a single entry.
    patch = np.full((PATCH, PATCH, 3), BASES[tone], dtype=np.uint8)
    if pattern == "striped":
        patch[:2] = MARKS[tone]
    elif pattern == "dotted":
        patch[1:3, 1:3] = MARKS[tone]
    return np.tile(patch, (SIDE // PATCH, SIDE // PATCH, 1))


# shape -> [12, 12]
SHAPE_MASKS: dict[str, Mask] = {shape: _shape_mask(shape) for shape in SHAPES}
# text -> [20, 24], true where there is ink
TEXT_MASKS: dict[str, Mask] = {text: _text_mask(text) for text in STRINGS}
# (tone, pattern) -> [32, 32, 3]
BACKGROUNDS: dict[tuple[str, str], Pixels] = {
    (tone, pattern): _background(tone, pattern) for tone in TONES for pattern in PATTERNS
}
