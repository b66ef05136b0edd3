"""Grids of sampled pictures on disk: what the policy draws, under which prompt, and what its reward was."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from focusdiff.observers.silent import SilentObserver
from paircomp.runtime.files import write_atomically

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

__all__ = ["SampleGrids", "draw_grid"]

_COLUMNS = 4
_SIDE = 160  # pixels of a picture in the grid, at least; larger ones keep their size up to _MOST
_MOST = 256
_GAP, _LINE, _PROMPT_LINES = 12, 15, 3
_PAPER, _INK, _FAINT, _EDGE = (255, 255, 255), (40, 40, 46), (120, 120, 128), (205, 205, 210)


class SampleGrids(SilentObserver):
    """Writes ``samples/000050.png`` every so many steps; the same step of the same run gives the same file.

    Args:
        run: the run's folder.
        every: steps.
        most: pictures of a grid, spread over the step's.
    """

    def __init__(self, run: Path, *, every: int, most: int) -> None:
        self._folder = run / "samples"
        self._every = every
        self._most = most

    def on_samples(
        self, step: int, prompts: Sequence[str], pictures: Sequence[Image], rewards: Sequence[float]
    ) -> None:
        """Draw the grid where one is due."""
        if step % self._every or not pictures:
            return
        count = min(self._most, len(pictures))
        places = [place * len(pictures) // count for place in range(count)]
        grid = draw_grid(
            [prompts[place] for place in places], [pictures[place] for place in places],
            [rewards[place] for place in places], title=f"step {step}",
        )  # fmt: skip
        self._folder.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        grid.save(buffer, format="PNG")
        write_atomically(self._folder / f"{step:06d}.png", buffer.getvalue())


def draw_grid(
    prompts: Sequence[str], pictures: Sequence[Image], rewards: Sequence[float], *, title: str
) -> Image:  # fmt: skip
    """Pictures in rows, each with its reward and its prompt below.

    Args:
        prompts: B texts.
        pictures: B pictures.
        rewards: B numbers; NaN is said to be unscored.
        title: above all.
    """
    from PIL import Image, ImageDraw, ImageFont

    side = min(_MOST, max(_SIDE, pictures[0].width))
    columns = min(_COLUMNS, len(pictures))
    rows = -(-len(pictures) // columns)
    cell = side + _GAP // 2 + _LINE * (1 + _PROMPT_LINES) + _GAP
    head = _LINE + 2 * _GAP
    grid = Image.new("RGB", (columns * (side + _GAP) + _GAP, head + rows * cell), _PAPER)
    draw = ImageDraw.Draw(grid)
    draw.text((_GAP, _GAP), title, fill=_INK, font=ImageFont.load_default(15))
    for place, (prompt, picture, reward) in enumerate(zip(prompts, pictures, rewards, strict=True)):
        row, column = divmod(place, columns)
        left, top = _GAP + column * (side + _GAP), head + row * cell
        grid.paste(_scaled(picture, side), (left, top))
        draw.rectangle((left, top, left + side - 1, top + side - 1), outline=_EDGE)
        _write(draw, (left, top + side + _GAP // 2), side, prompt, reward)
    return grid


def _scaled(picture: Image, side: int) -> Image:
    """Small pictures keep their pixels visible, large ones are made smaller smoothly."""
    from PIL.Image import Resampling

    method = Resampling.NEAREST if picture.width < side else Resampling.LANCZOS
    return picture.convert("RGB").resize((side, side), method)


def _write(draw: ImageDraw, corner: tuple[int, int], width: int, prompt: str, reward: float) -> None:
    from PIL.ImageFont import load_default

    left, top = corner
    said = "unscored" if math.isnan(reward) else f"{reward:.2f}"
    draw.text((left, top), said, fill=_INK, font=load_default(13))
    for number, line in enumerate(_lines(draw, load_default(12), prompt, width)):
        draw.text((left, top + (number + 1) * _LINE), line, fill=_FAINT, font=load_default(12))


def _lines(draw: ImageDraw, font: FreeTypeFont | ImageFont, text: str, width: int) -> list[str]:
    """`text` in lines that fit, the last one cut with an ellipsis where there is more."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if draw.textlength(longer, font=font) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > _PROMPT_LINES:
        return [*lines[: _PROMPT_LINES - 1], f"{lines[_PROMPT_LINES - 1]} …"]
    return lines
