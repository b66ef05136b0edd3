"""A picture of the world for its documentation: ``python -m paircomp.shapes.contact_sheet docs/images/shapes.png``."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from paircomp.shapes.dice import Dice
from paircomp.shapes.grammar import Wording, write_prompt
from paircomp.shapes.layout import SIDE
from paircomp.shapes.renderer import render
from paircomp.shapes.sampling import KINDS, sample_pair
from paircomp.shapes.scene import Scene
from paircomp.types import Subtask

__all__ = ["draw_contact_sheet"]

_COLUMNS, _PAIRS_EACH = 3, 2
_SCALE = 5
_PICTURE = SIDE * _SCALE
_GAP, _MARGIN = 6, 22
_LINE, _LINES = 16, 4
_PAIR_WIDTH = 2 * _PICTURE + _GAP
_PAIR_HEIGHT = _PICTURE + _GAP + _LINE * _LINES
_HEADING = 26
_BLOCK_HEIGHT = _HEADING + _PAIRS_EACH * (_PAIR_HEIGHT + _GAP)
_PAPER, _TEXT, _MARKED = (255, 255, 255), (70, 70, 78), (190, 30, 60)


def draw_contact_sheet(seed: int = 6) -> Image.Image:
    """Two pairs of each subtask, one in each wording, the word they differ in marked; the same for the same seed."""
    rows = -(-len(Subtask) // _COLUMNS)
    size = (_COLUMNS * (_PAIR_WIDTH + _MARGIN) + _MARGIN, rows * (_BLOCK_HEIGHT + _MARGIN) + _MARGIN // 2)
    sheet = Image.new("RGB", size, _PAPER)
    dice = Dice(seed)
    for position, subtask in enumerate(Subtask):
        row, column = divmod(position, _COLUMNS)
        corner = (_MARGIN + column * (_PAIR_WIDTH + _MARGIN), _MARGIN // 2 + row * (_BLOCK_HEIGHT + _MARGIN))
        _draw_subtask(sheet, corner, subtask, dice)
    return sheet


def _draw_subtask(sheet: Image.Image, corner: tuple[int, int], subtask: Subtask, dice: Dice) -> None:
    left, top = corner
    ImageDraw.Draw(sheet).text((left, top + 2), subtask, fill=(0, 0, 0), font=ImageFont.load_default(17))
    for position, wording in enumerate(Wording):
        kinds = KINDS[subtask]
        pair = sample_pair(dice, subtask, kinds[(position + len(subtask)) % len(kinds)])
        _draw_pair(sheet, (left, top + _HEADING + position * (_PAIR_HEIGHT + _GAP)), pair, wording, dice.number(1000))


def _draw_pair(
    sheet: Image.Image, corner: tuple[int, int], pair: tuple[Scene, Scene], wording: Wording, layout_seed: int
) -> None:
    left, top = corner
    prompts = [write_prompt(scene, wording).split() for scene in pair]
    marked = {position for position, (one, other) in enumerate(zip(*prompts, strict=True)) if one != other}
    for side, (scene, words) in enumerate(zip(pair, prompts, strict=True)):
        start = left + side * (_PICTURE + _GAP)
        picture = render(scene, layout_seed).resize((_PICTURE, _PICTURE), Image.Resampling.NEAREST)
        sheet.paste(picture, (start, top))
        # A hairline, so that light pictures end somewhere on white paper.
        outline = (start, top, start + _PICTURE - 1, top + _PICTURE - 1)
        ImageDraw.Draw(sheet).rectangle(outline, outline=(205, 205, 210))
        _write(sheet, (start, top + _PICTURE + _GAP), words, marked)


def _write(sheet: Image.Image, corner: tuple[int, int], words: list[str], marked: set[int]) -> None:
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    left, top = corner
    x = float(left)
    for position, word in enumerate(words):
        width = draw.textlength(word, font=font)
        if x + width > left + _PICTURE - _GAP:
            x, top = float(left), top + _LINE
        draw.text((x, top), word, fill=_MARKED if position in marked else _TEXT, font=font)
        x += width + 4


if __name__ == "__main__":
    draw_contact_sheet().quantize(64).save(Path(sys.argv[1]), optimize=True)
