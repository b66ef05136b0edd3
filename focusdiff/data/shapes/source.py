"""The source ``shapes``: random one-word edits of the embedded world, a stated share of them spoilt on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from focusdiff.data.records import BLOCK, Block, EditRecord
from focusdiff.data.shapes.instructions import write_instruction
from paircomp.errors import ConfigError
from paircomp.runtime.images import png_bytes
from paircomp.shapes import Dice, Scene, canonical, edits, sample_pair, write_prompt
from paircomp.shapes.blemishes import BLEMISHES, blemish
from paircomp.shapes.renderer import draw_background, render_pixels
from paircomp.shapes.stamps import Pixels
from paircomp.suites.shapes_suites import is_held_out
from paircomp.types import Subtask

__all__ = ["SPOILS", "ShapesSource", "draw_edit", "shapes_source"]

_SUBTASKS = tuple(Subtask)
_LEAST_SEVERITY = 0.3  # 14 pixels of 1,024: a person sees it
_LEAST_FADE = 0.7
_NOISE = (25.0, 60.0)  # standard deviation, in levels


@dataclass(frozen=True)
class Edit:
    """An edit as it was drawn: what was wanted, what is shown, and what is wrong with it."""

    before: Scene
    wanted: Scene
    shown: Scene
    subtask: Subtask
    spoilt: str
    pixels: tuple[Pixels, Pixels]


def shapes_source(*, records: int = 10_000, spoilt: float = 0.3, seed: int = 0) -> ShapesSource:
    """Random one-word edits of the embedded world; no picture of a held-out suite is among them.

    Args:
        records: how many.
        spoilt: share of edits that are spoilt: a wrong edit, an extra change, noise, or no change, equally often.
        seed: of the draw; each record depends on it and its position alone.

    Raises:
        ConfigError: no record, or a share outside [0, 1].
    """
    faults = [] if records >= 1 else [f"records: expected at least 1, got {records}"]
    faults += [] if 0 <= spoilt <= 1 else [f"spoilt: expected a share in [0, 1], got {spoilt}"]
    if faults:
        raise ConfigError(faults, where="source 'shapes'")
    return ShapesSource(records, spoilt, seed)


@dataclass(frozen=True)
class ShapesSource:
    """See :func:`shapes_source`."""

    records: int
    spoilt: float
    seed: int
    name: str = "shapes"

    @property
    def identity(self) -> Mapping[str, Any]:
        """Not the number of records: a larger one later continues."""
        return {"source": self.name, "spoilt": self.spoilt, "seed": self.seed}

    def blocks(self) -> Iterator[Block]:
        """Blocks that draw their records when they are read."""
        for number, start in enumerate(range(0, self.records, BLOCK)):
            yield _ShapesBlock(number, start, min(BLOCK, self.records - start), self)


@dataclass(frozen=True)
class _ShapesBlock:
    number: int
    start: int
    size: int
    source: ShapesSource

    def records(self) -> Iterator[EditRecord]:
        return (self._record(position) for position in range(self.start, self.start + self.size))

    def _record(self, position: int) -> EditRecord:
        drawn = draw_edit(Dice(f"focusdiff-data {self.source.seed} {position}"), spoilt=self.source.spoilt)
        return EditRecord(
            position=position,
            record_id=f"shapes-{self.source.seed}-{position}",
            before=_png(drawn.pixels[0]),
            after=_png(drawn.pixels[1]),
            instruction=write_instruction(drawn.before, drawn.wanted, drawn.subtask),
            captions=(write_prompt(drawn.before), write_prompt(drawn.wanted)),
            edit_type=str(drawn.subtask),
            licence="Apache-2.0",
            origin=f"paircomp.shapes, seed {self.source.seed}, record {position}",
            truth=drawn.spoilt,
        )


def _png(pixels: Pixels) -> bytes:
    from PIL import Image

    return png_bytes(Image.fromarray(pixels))


def draw_edit(dice: Dice, *, spoilt: float) -> Edit:
    """Draw one edit, spoilt with the given probability.

    Neither picture of it is in a held-out suite, nor is what was wanted.
    """
    while True:
        subtask = dice.pick(_SUBTASKS)
        before, wanted = sample_pair(dice, subtask)
        spoil = dice.pick(tuple(SPOILS)) if dice.chance(spoilt) else ""
        layout = dice.number(2**31)
        shown = SPOILS[spoil](dice, before, wanted, subtask) if spoil else wanted
        if shown is not None and not any(map(is_held_out, (before, wanted, shown))):
            first, second = render_pixels(before, layout), render_pixels(shown, layout)
            if spoil == "noise":
                second = _noisy(dice, second, shown)
            return Edit(before, wanted, shown, subtask, spoil, (first, second))


def _wrong_edit(dice: Dice, before: Scene, wanted: Scene, subtask: Subtask) -> Scene | None:
    """Another edit than the wanted one, of any kind."""
    every = [scene for kind in _SUBTASKS for scene in edits(before, kind) if canonical(scene) != canonical(wanted)]
    return dice.pick(every) if every else None


def _extra_change(dice: Dice, before: Scene, wanted: Scene, subtask: Subtask) -> Scene | None:
    """The wanted edit and one of another kind."""
    every = [scene for kind in _SUBTASKS if kind != subtask for scene in edits(wanted, kind)]
    return dice.pick(every) if every else None


def _no_change(dice: Dice, before: Scene, wanted: Scene, subtask: Subtask) -> Scene | None:
    return before


def _as_wanted(dice: Dice, before: Scene, wanted: Scene, subtask: Subtask) -> Scene | None:
    return wanted


#: What may be wrong with an edit: its name, and the scene that is shown after it.
SPOILS: dict[str, Callable[[Dice, Scene, Scene, Subtask], Scene | None]] = {
    "wrong edit": _wrong_edit,
    "extra change": _extra_change,
    "noise": _as_wanted,
    "no change": _no_change,
}


def _noisy(dice: Dice, pixels: Pixels, shown: Scene) -> Pixels:
    """The picture with a blemish that can be seen, or with noise all over it."""
    kind = dice.pick((*BLEMISHES, "gaussian"))
    if kind == "gaussian":
        return _with_noise(dice, pixels)
    least = _LEAST_FADE if kind == "fade" else _LEAST_SEVERITY
    return blemish(pixels, draw_background(shown.background), kind, least + (1 - least) * dice.fraction(), dice)


def _with_noise(dice: Dice, pixels: Pixels) -> Pixels:
    deviation = _NOISE[0] + (_NOISE[1] - _NOISE[0]) * dice.fraction()
    noise = np.random.Generator(np.random.PCG64(dice.number(2**31))).standard_normal(pixels.shape)
    noisy: Pixels = np.clip(np.rint(pixels + noise * deviation), 0, 255).astype(np.uint8)
    return noisy
