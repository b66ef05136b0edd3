"""Looking at a picture of the shapes world: pixels to what is seen in them, without knowing the prompt.

The picture is taken apart (coloured parts, their shapes and colours, the sign and its writing, the background), then
the seen scene is drawn again and held against the pixels: whatever the drawing does not explain is a wrong pixel.
So a smudge, a stray pixel, a wrong-coloured part or a half-drawn shape is seen wherever it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from paircomp.shapes.components import connected_components
from paircomp.shapes.layout import BOARD_HEIGHT, BOARD_WIDTH, SIDE, THING, Placement
from paircomp.shapes.palette import BASES, COLORS, INK, MARKS, SHAPES
from paircomp.shapes.renderer import draw_background, draw_board, draw_things
from paircomp.shapes.scene import Background, Thing
from paircomp.shapes.stamps import BACKGROUNDS, SHAPE_MASKS, TEXT_MASKS, Mask, Pixels

__all__ = ["SeenSign", "SeenThing", "Sight", "look", "to_pixels"]

Floats: TypeAlias = npt.NDArray[np.float32]

_SMALLEST_THING = 24  # pixels; the smallest shape has 78, so a third of it is still a thing, and less is a blemish
_SMALLEST_BOARD = 240  # pixels of board colour; half a board, and more than two things side by side can fill
_LEAST_GROUND = 60  # pixels of background without which nothing is said of it

# Wrongness of a pixel: nothing up to 36 levels of RGB distance (noise of sd 8 stays below), everything from 90 levels,
# less than the 110 between the base and the marks of a background.
_TOLERATED, _FULLY_WRONG = 36.0, 90.0
_BLUR = 0.14  # share that a pixel takes from each neighbour in a row: a little more than a gaussian of 0.5 pixels

_COLOR_NAMES = tuple(COLORS)
_CLASSES = np.array([*COLORS.values(), *BASES.values(), *MARKS.values()], dtype=np.float32)  # [10, 3]
_CLASS_NORMS = (_CLASSES**2).sum(1)  # [10]
_SHAPES = np.stack([SHAPE_MASKS[shape].ravel() for shape in SHAPES]).astype(np.float32)  # [4, 144]
_SHAPE_AREAS = _SHAPES.sum(1)  # [4]
_TEXT_NAMES = tuple(TEXT_MASKS)
_TEXTS = np.stack([mask.ravel() for mask in TEXT_MASKS.values()]).astype(np.float32)  # [72, 480]
_TEXT_AREAS = _TEXTS.sum(1)  # [72]
_GROUND_NAMES = tuple(BACKGROUNDS)
_GROUNDS = np.stack([ground.reshape(-1, 3) for ground in BACKGROUNDS.values()]).astype(np.float32)  # [6, 1024, 3]
_INK = np.array(INK, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class SeenThing:
    """A coloured part of the picture.

    Attributes:
        colors: share of its pixels nearest to each colour; they sum to 1.
        shapes: overlap with each shape, intersection over union at the best place, in [0, 1].
        left: pixel of the best fitting shape's upper left corner, from the left.
        top: the same, from the top.
    """

    colors: Mapping[str, float]
    shapes: Mapping[str, float]
    left: int
    top: int

    @property
    def thing(self) -> Thing:
        """What it most looks like."""
        return Thing(max(self.colors, key=self.colors.__getitem__), max(self.shapes, key=self.shapes.__getitem__))


@dataclass(frozen=True, slots=True)
class SeenSign:
    """A board with writing.

    Attributes:
        colors: share of the board's coloured pixels nearest to each colour.
        texts: overlap of the ink with each string's, intersection over union, in [0, 1].
        left: pixel of the board's upper left corner, from the left.
        top: the same, from the top.
    """

    colors: Mapping[str, float]
    texts: Mapping[str, float]
    left: int
    top: int

    @property
    def color(self) -> str:
        """The colour most of the board has."""
        return max(self.colors, key=self.colors.__getitem__)

    @property
    def text(self) -> str:
        """The string that the ink most looks like."""
        return max(self.texts, key=self.texts.__getitem__)


@dataclass(frozen=True, slots=True)
class Sight:
    """All that is seen in a picture.

    Attributes:
        backgrounds: mean absolute difference of the free pixels from each (tone, pattern), in [0, 1]; empty where too
            little background is free to tell.
        things: coloured parts, largest first.
        sign: the sign, if there is one.
        wrong_pixels: pixels that the seen scene, drawn again, does not explain; graded, so not a whole number.
    """

    backgrounds: Mapping[tuple[str, str], float]
    things: tuple[SeenThing, ...]
    sign: SeenSign | None
    wrong_pixels: float

    @property
    def background(self) -> Background:
        """The background that fits best; light and plain where none can be told."""
        return Background(*min(self.backgrounds or _GROUND_NAMES, key=lambda name: self.backgrounds.get(name, 0.0)))


def to_pixels(image: Image.Image) -> Pixels:
    """``[32, 32, 3]``: any image as RGB, averaged down (or repeated up) to the size of the world."""
    picture = image if image.mode == "RGB" else image.convert("RGB")
    if picture.size != (SIDE, SIDE):
        picture = picture.resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(picture)


def look(pixels: Pixels) -> Sight:
    """See what a picture shows.

    Args:
        pixels: ``[32, 32, 3]``, RGB.

    Returns:
        What is seen; never raises on strange pictures, which merely have many wrong pixels.
    """
    exact = pixels.astype(np.float32)
    classes = _nearest_classes(exact)
    parts = connected_components(classes < len(_COLOR_NAMES), smallest=_SMALLEST_THING)
    sign = _see_sign(exact, classes, parts)
    if sign is not None:
        parts = [part for part in parts if not _on_board(part, sign)]
    things = tuple(_see_thing(classes, part) for part in parts)
    backgrounds = _background_errors(exact, parts, sign)
    seen = Sight(backgrounds, things, sign, wrong_pixels=0.0)
    return Sight(backgrounds, things, sign, _wrong_pixels(exact, seen))


def _nearest_classes(exact: Floats) -> npt.NDArray[np.intp]:
    flat = exact.reshape(-1, 3)
    distances = _CLASS_NORMS - 2 * (flat @ _CLASSES.T)  # [1024, 10], less the pixel's own norm
    return np.asarray(distances.argmin(1).reshape(SIDE, SIDE))


def _color_shares(classes: npt.NDArray[np.intp], part: Mask) -> dict[str, float]:
    counts = np.bincount(classes[part], minlength=len(_COLOR_NAMES))[: len(_COLOR_NAMES)]
    return dict(zip(_COLOR_NAMES, (counts / max(1, counts.sum())).tolist(), strict=True))


def _extent(part: Mask) -> tuple[slice, slice]:
    """Rows and columns that the part covers."""
    rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _starts(covered: slice, length: int) -> slice:
    """Where a form of this length may start so as to match what is covered: flush with either end, or one pixel off."""
    flush = sorted((covered.start, covered.stop - length))
    return slice(max(0, min(flush[0] - 1, SIDE - length)), max(1, min(flush[1] + 2, SIDE - length + 1)))


def _see_thing(classes: npt.NDArray[np.intp], part: Mask) -> SeenThing:
    rows, columns = _extent(part)
    tops, lefts = _starts(rows, THING), _starts(columns, THING)
    windows = np.lib.stride_tricks.sliding_window_view(part, (THING, THING))[tops, lefts]
    across = windows.shape[1]
    shared = windows.reshape(-1, THING * THING).astype(np.float32) @ _SHAPES.T  # [places, 4]
    fits = shared / (part.sum() + _SHAPE_AREAS - shared)
    place = int(fits.max(1).argmax())
    shapes = dict(zip(SHAPES, fits.max(0).tolist(), strict=True))
    return SeenThing(_color_shares(classes, part), shapes, lefts.start + place % across, tops.start + place // across)


def _see_sign(exact: Floats, classes: npt.NDArray[np.intp], parts: list[Mask]) -> SeenSign | None:
    if not parts or parts[0].sum() < _SMALLEST_BOARD:
        return None
    rows, columns = _extent(parts[0])
    tops, lefts = _starts(rows, BOARD_HEIGHT), _starts(columns, BOARD_WIDTH)
    windows = np.lib.stride_tricks.sliding_window_view(parts[0], (BOARD_HEIGHT, BOARD_WIDTH))[tops, lefts]
    covered = windows.sum((2, 3))
    if covered.max() < _SMALLEST_BOARD:
        return None
    top, left = np.unravel_index(int(covered.argmax()), covered.shape)
    top, left = int(top) + tops.start, int(left) + lefts.start
    colors = _color_shares(classes, parts[0])
    board = exact[top : top + BOARD_HEIGHT, left : left + BOARD_WIDTH]
    return SeenSign(colors, _text_fits(board, max(colors, key=colors.__getitem__)), left, top)


def _text_fits(board: Floats, color: str) -> dict[str, float]:
    paint = np.array(COLORS[color], dtype=np.float32)
    ink = ((board - _INK) ** 2).sum(2) < ((board - paint) ** 2).sum(2)
    shared = _TEXTS @ ink.ravel().astype(np.float32)  # [72]
    return dict(zip(_TEXT_NAMES, (shared / (ink.sum() + _TEXT_AREAS - shared)).tolist(), strict=True))


def _on_board(part: Mask, sign: SeenSign) -> bool:
    """Whether the part is mostly the board or something on it, such as the hole of an A."""
    inside = part[sign.top : sign.top + BOARD_HEIGHT, sign.left : sign.left + BOARD_WIDTH].sum()
    return bool(2 * inside > part.sum())


def _background_errors(exact: Floats, parts: list[Mask], sign: SeenSign | None) -> dict[tuple[str, str], float]:
    free = np.ones((SIDE, SIDE), dtype=bool)
    for part in parts:
        rows, columns = _extent(part)
        # One pixel around is left out: blur mixes it with the thing.
        free[max(0, rows.start - 1) : rows.stop + 1, max(0, columns.start - 1) : columns.stop + 1] = False
    if sign is not None:
        above, before = max(0, sign.top - 1), max(0, sign.left - 1)
        free[above : sign.top + BOARD_HEIGHT + 1, before : sign.left + BOARD_WIDTH + 1] = False
    where = free.ravel().nonzero()[0]
    if len(where) < _LEAST_GROUND:
        return {}
    errors = np.abs(exact.reshape(-1, 3)[where] - _GROUNDS[:, where]).mean((1, 2)) / 255
    return dict(zip(_GROUND_NAMES, errors.tolist(), strict=True))


def _drawn_again(seen: Sight) -> Pixels:
    pixels = draw_background(seen.background)
    draw_things(pixels, [Placement(thing.thing, thing.left, thing.top) for thing in seen.things])
    if seen.sign is not None:
        draw_board(pixels, seen.sign.left, seen.sign.top, seen.sign.color, seen.sign.text)
    return pixels


def _wrong_pixels(exact: Floats, seen: Sight) -> float:
    # A pixel may lie anywhere between the sharp drawing and a blurred one: its distance is that to the line between.
    sharp = _drawn_again(seen).astype(np.float32)
    away = exact - sharp
    toward = _blurred(sharp) - sharp
    along = (away * toward).sum(2) / np.maximum((toward**2).sum(2), 1.0)
    away -= np.clip(along, 0, 1)[..., None] * toward
    distances = np.sqrt((away**2).sum(2))
    return float(np.clip((distances - _TOLERATED) / (_FULLY_WRONG - _TOLERATED), 0, 1).sum())


def _blurred(sharp: Floats) -> Floats:
    padded = np.pad(sharp, ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = (1 - 2 * _BLUR) * padded[1:-1] + _BLUR * (padded[:-2] + padded[2:])
    return np.asarray((1 - 2 * _BLUR) * rows[:, 1:-1] + _BLUR * (rows[:, :-2] + rows[:, 2:]))
