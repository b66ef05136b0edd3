"""Training prompts of the shapes world: pairs of scenes that no fixed suite shows, drawn from (seed, step, place)."""

from __future__ import annotations

from collections.abc import Sequence

from focusdiff.training_protocols import StepPair
from paircomp.shapes import Dice, Scene, sample_pair, write_prompt
from paircomp.shapes.renderer import render
from paircomp.suites.shapes_suites import is_held_out
from paircomp.types import Subtask

__all__ = ["ShapesPairs"]

_SUBTASKS = tuple(Subtask)
_LAYOUTS = 2**31


class ShapesPairs:
    """Pairs of the shapes world with clean ground truth; see `focusdiff.training_protocols.PairSource`.

    Args:
        seed: of the run.
        partners: False gives single prompts without partner or ground truth instead, two for each pair.
    """

    def __init__(self, seed: int, *, partners: bool = True) -> None:
        self._seed = seed
        self._partners = partners

    def draw(self, step: int, count: int) -> Sequence[StepPair]:
        """The pairs of a step; subtasks take turns over the places of all steps."""
        if self._partners:
            return [self._pair(step, place, step * count + place) for place in range(count)]
        return [self._single(step, place, step * 2 * count + place) for place in range(2 * count)]

    def _pair(self, step: int, place: int, turn: int) -> StepPair:
        dice = Dice(f"focusdiff shapes {self._seed} {step} {place}")
        subtask = _SUBTASKS[turn % len(_SUBTASKS)]
        scenes = _unseen_pair(dice, subtask)
        layout = dice.number(_LAYOUTS)  # one layout for both: the pair differs in what the words differ in
        pictures = tuple(render(scene, layout) for scene in scenes)
        return StepPair(f"{step}-{place}", subtask, tuple(map(write_prompt, scenes)), pictures)

    def _single(self, step: int, place: int, turn: int) -> StepPair:
        dice = Dice(f"focusdiff shapes alone {self._seed} {step} {place}")
        subtask = _SUBTASKS[turn % len(_SUBTASKS)]
        return StepPair(f"{step}-{place}", subtask, (write_prompt(_unseen_pair(dice, subtask)[0]),))


def _unseen_pair(dice: Dice, subtask: Subtask) -> tuple[Scene, Scene]:
    while True:
        scenes = sample_pair(dice, subtask)
        if not any(map(is_held_out, scenes)):
            return scenes
