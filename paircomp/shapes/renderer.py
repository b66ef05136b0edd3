"""Drawing scenes: scene and layout seed to a 32 x 32 RGB picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from paircomp.shapes.layout import BOARD_HEIGHT, BOARD_WIDTH, THING, Placement, board_corner, placements
from paircomp.shapes.palette import COLORS, INK
from paircomp.shapes.scene import Background, Scene, Sign
from paircomp.shapes.stamps import BACKGROUNDS, SHAPE_MASKS, TEXT_MASKS, Pixels

__all__ = ["draw_background", "draw_board", "draw_things", "render", "render_pixels"]


def render(scene: Scene, seed: int) -> Image.Image:
    """The picture of a scene as an RGB image, 32 x 32; see :func:`render_pixels`."""
    return Image.fromarray(render_pixels(scene, seed))


def render_pixels(scene: Scene, seed: int) -> Pixels:
    """The picture of a scene.

    Args:
        scene: what to show.
        seed: where to put it; one seed gives the two scenes of a pair the same layout.

    Returns:
        ``[32, 32, 3]``, RGB; the same bytes for the same arguments, everywhere.
    """
    pixels = draw_background(scene.background)
    if isinstance(scene, Sign):
        left, top = board_corner(seed)
        draw_board(pixels, left, top, scene.color, scene.text)
    else:
        draw_things(pixels, placements(scene, seed))
    return pixels


def draw_background(background: Background) -> Pixels:
    """A new picture, ``[32, 32, 3]``, that shows the background alone."""
    return BACKGROUNDS[background.tone, background.pattern].copy()


def draw_things(pixels: Pixels, placed: Sequence[Placement]) -> None:
    """Draw things where they are placed, into `pixels`."""
    for thing, left, top in placed:
        pixels[top : top + THING, left : left + THING][SHAPE_MASKS[thing.shape]] = COLORS[thing.color]


def draw_board(pixels: Pixels, left: int, top: int, color: str, text: str) -> None:
    """Draw a sign whose upper left corner is at (left, top), into `pixels`."""
    board = pixels[top : top + BOARD_HEIGHT, left : left + BOARD_WIDTH]
    board[:] = np.array(COLORS[color], dtype=np.uint8)
    board[TEXT_MASKS[text]] = INK
