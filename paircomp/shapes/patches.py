"""The small visual codebook of the shapes world: every 4 x 4 patch that a picture can hold."""

from __future__ import annotations

import itertools

import numpy as np

from paircomp.shapes.glyphs import STRINGS
from paircomp.shapes.layout import PATCH, SIDE, Placement
from paircomp.shapes.palette import COLORS, PATTERNS, SHAPES, TONES
from paircomp.shapes.renderer import draw_background, draw_board, draw_things
from paircomp.shapes.scene import Background, Thing
from paircomp.shapes.stamps import Pixels

__all__ = ["every_patch", "join_patches", "split_patches"]

_GRID = SIDE // PATCH


def split_patches(pixels: Pixels) -> Pixels:
    """``[32, 32, 3]`` to its 64 patches ``[64, 48]``, row by row."""
    blocks = pixels.reshape(_GRID, PATCH, _GRID, PATCH, 3).transpose(0, 2, 1, 3, 4)
    return blocks.reshape(_GRID * _GRID, PATCH * PATCH * 3)


def join_patches(patches: Pixels) -> Pixels:
    """``[64, 48]`` back to ``[32, 32, 3]``; the inverse of :func:`split_patches`."""
    blocks = patches.reshape(_GRID, _GRID, PATCH, PATCH, 3).transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(blocks.reshape(SIDE, SIDE, 3))


def every_patch() -> Pixels:
    """``[N, 48]``: each distinct patch of the world once, sorted.

    Things and signs stand on the patch grid and backgrounds repeat patch by patch, so one place stands for all: it is
    enough to draw each thing in each colour on each background once, and each sign.
    """
    grounds = [Background(tone, pattern) for tone in TONES for pattern in PATTERNS]
    pictures = [draw_background(ground) for ground in grounds]
    for ground, color, shape in itertools.product(grounds, COLORS, SHAPES):
        pixels = draw_background(ground)
        draw_things(pixels, [Placement(Thing(color, shape), 0, 0)])
        pictures.append(pixels)
    for color, text in itertools.product(COLORS, STRINGS):
        pixels = draw_background(grounds[0])
        draw_board(pixels, 0, 0, color, text)
        pictures.append(pixels)
    return np.unique(np.concatenate([split_patches(pixels) for pixels in pictures]), axis=0)
