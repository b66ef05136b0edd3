"""The ``sketch`` generator: draws the scene that a prompt of the shapes world asks for, with mistakes at a stated rate.

An honest stand-in for a model: no weights, no training, and an answer that is known. It understands every prompt of the
grammar, and then errs on purpose, so that harness, statistics and documentation have something to measure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from PIL import Image

from paircomp.errors import ConfigError
from paircomp.shapes import Dice, Group, Groups, OutsideGrammarError, Scene, edits, parse_prompt, write_prompt
from paircomp.shapes.blemishes import BLEMISHES, blemish
from paircomp.shapes.renderer import draw_background, render_pixels
from paircomp.shapes.scene import MOST_THINGS
from paircomp.types import Generated, GenerationRequest, Subtask

__all__ = ["SketchGenerator", "sketch"]

_VERSION = "sketch/1"


def sketch(
    *,
    checkpoint: str | None = None,
    device: str = "cpu",
    dtype: str | None = None,
    mistakes: float = 0.25,
    blemishes: float = 0.1,
    steadiness: float = 0.5,
) -> SketchGenerator:
    """Draws prompts of the embedded shapes world with seeded mistakes; needs no weights.

    Args:
        checkpoint: none is needed.
        device: any; it draws on the CPU.
        dtype: any; it has no weights.
        mistakes: chance that an image shows a scene one word away from the prompt's: another shape, colour, relation,
            background or glyph, or one thing too many or too few.
        blemishes: chance that an image is spoilt: stray pixels, a smudge, junk on a thing, a part missing or in another
            colour, or all faded, each of a severity drawn uniformly.
        steadiness: share of the decisions between right and mistaken that the prompt makes, alike for all of its
            samples; the others are made per image. At 1 a prompt is always or never mistaken.

    Raises:
        ConfigError: a rate is no number in [0, 1], or a checkpoint was given.
    """
    del device, dtype
    rates = {"mistakes": mistakes, "blemishes": blemishes, "steadiness": steadiness}
    faults = [
        f"{name}: expected a number in [0, 1], got {rate!r}" for name, rate in rates.items() if not _is_rate(rate)
    ]
    if checkpoint is not None:
        faults.append(f"checkpoint: this generator has no weights, got {checkpoint!r}")
    if faults:
        raise ConfigError(faults, where="generator 'sketch'")
    return SketchGenerator(_Rates(**rates))


def _is_rate(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


class _Rates(NamedTuple):
    mistakes: float
    blemishes: float
    steadiness: float


class SketchGenerator:
    """Draws one image per request from its prompt and seed alone; see :func:`sketch`."""

    supports_seeds = True

    def __init__(self, rates: _Rates) -> None:
        self._rates = rates
        self.identity: Mapping[str, Any] = {"version": _VERSION, **rates._asdict()}

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Generated]:
        """One image per request, in order; a prompt that is outside the grammar is refused."""
        for request in requests:
            yield _drawn(request, self._rates)

    def close(self) -> None:
        """Nothing to free."""


def _drawn(request: GenerationRequest, rates: _Rates) -> Generated:
    try:
        scene = parse_prompt(request.prompt)
    except OutsideGrammarError as error:
        return Generated(request.key, unscored=f"refused: {error}")
    # Not the bare seed: the layout is drawn from that, and mistakes must not go with places.
    dice = Dice(f"{_VERSION}/{request.seed}")
    if _is_mistaken(request.prompt, dice, rates):
        scene = _mistake(scene, dice)
    pixels = render_pixels(scene, request.seed)
    said: dict[str, Any] = {"drawn": write_prompt(scene)}
    if dice.chance(rates.blemishes):
        kind, severity = dice.pick(tuple(BLEMISHES)), 1 - dice.fraction()
        pixels = blemish(pixels, draw_background(scene.background), kind, severity, dice)
        said["blemish"] = {"kind": kind, "severity": round(severity, 3)}
    return Generated(request.key, Image.fromarray(pixels), metadata=said)


def _is_mistaken(prompt: str, dice: Dice, rates: _Rates) -> bool:
    decided_by_prompt = dice.chance(rates.steadiness)
    decider = Dice(f"{_VERSION}/{prompt}") if decided_by_prompt else dice
    return decider.chance(rates.mistakes)


def _mistake(scene: Scene, dice: Dice) -> Scene:
    """The scene with one thing wrong; each kind of mistake that the scene allows is equally likely."""
    kinds = [_off_by_one(scene) if subtask is Subtask.COUNTING else edits(scene, subtask) for subtask in Subtask]
    return dice.pick(dice.pick([kind for kind in kinds if kind]))


def _off_by_one(scene: Scene) -> tuple[Scene, ...]:
    if not isinstance(scene, Groups):
        return ()
    room = MOST_THINGS - sum(group.count for group in scene.groups)
    counts = [
        (position, group.count + step)
        for position, group in enumerate(scene.groups)
        for step in (-1, 1)
        if group.count + step >= 1 and step <= room
    ]
    return tuple(_recounted(scene, position, count) for position, count in counts)


def _recounted(scene: Groups, position: int, count: int) -> Scene:
    groups = list(scene.groups)
    groups[position] = Group(count, groups[position].thing)
    return replace(scene, groups=tuple(groups))
