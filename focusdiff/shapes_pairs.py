"""Training prompts of the shapes world: pairs of scenes that no fixed suite shows, drawn from (seed, step, place)."""

from __future__ import annotations

from collections.abc import Sequence

from focusdiff.training_protocols import StepPair
from paircomp.errors import UnknownNameError
from paircomp.shapes import Dice, Scene, sample_pair, write_prompt
from paircomp.shapes.renderer import render
from paircomp.shapes.sampling import KINDS
from paircomp.suites.shapes_suites import is_held_out
from paircomp.types import Subtask

__all__ = ["SHAPES_SOURCES", "ShapesPairs", "shapes_pairs", "without_partners"]

_LAYOUTS = 2**31
_UNPAIRED = "-unpaired"
_EVERY_SCENE = {subtask: KINDS[subtask] for subtask in Subtask}
_CROWDED = ("two groups", "relation")
# A sign stands alone, so that pairs of text are never crowded.
_CROWDED_SCENES = {
    subtask: crowded for subtask, kinds in _EVERY_SCENE.items() if (crowded := tuple(k for k in kinds if k in _CROWDED))
}

#: Names that a recipe's ``prompts.source`` may have: a whole world, or the scenes of it that show two kinds of thing;
#: each also as single prompts without partners.
SHAPES_SOURCES = ("shapes", "shapes-unpaired", "shapes-crowded", "shapes-crowded-unpaired")


def shapes_pairs(source: str, seed: int) -> ShapesPairs:
    """The pairs of one of :data:`SHAPES_SOURCES`.

    Raises:
        UnknownNameError: there is no such source.
    """
    _check(source)
    return ShapesPairs(seed, partners=not source.endswith(_UNPAIRED), crowded=source.startswith("shapes-crowded"))


def without_partners(source: str) -> str:
    """The name of the same source as single prompts.

    Raises:
        UnknownNameError: there is no such source of shapes.
    """
    _check(source)
    return source.removesuffix(_UNPAIRED) + _UNPAIRED


def _check(source: str) -> None:
    if source not in SHAPES_SOURCES:
        raise UnknownNameError("source of shapes", source, SHAPES_SOURCES)


class ShapesPairs:
    """Pairs of the shapes world with clean ground truth; see `focusdiff.training_protocols.PairSource`.

    Args:
        seed: of the run.
        partners: False gives single prompts without partner or ground truth instead, two for each pair.
        crowded: only scenes that show two kinds of thing: two groups, or one thing beside another. They are what the
            embedded model draws worst.
    """

    def __init__(self, seed: int, *, partners: bool = True, crowded: bool = False) -> None:
        self._seed = seed
        self._partners = partners
        self._kinds = _CROWDED_SCENES if crowded else _EVERY_SCENE
        self._subtasks = tuple(self._kinds)

    def draw(self, step: int, count: int) -> Sequence[StepPair]:
        """The pairs of a step; subtasks take turns over the places of all steps."""
        if self._partners:
            return [self._pair(step, place, step * count + place) for place in range(count)]
        return [self._single(step, place, step * 2 * count + place) for place in range(2 * count)]

    def _pair(self, step: int, place: int, turn: int) -> StepPair:
        dice = Dice(f"focusdiff shapes {self._seed} {step} {place}")
        subtask, scenes = self._scenes(dice, turn)
        layout = dice.number(_LAYOUTS)  # one layout for both: the pair differs in what the words differ in
        pictures = tuple(render(scene, layout) for scene in scenes)
        return StepPair(f"{step}-{place}", subtask, tuple(map(write_prompt, scenes)), pictures)

    def _single(self, step: int, place: int, turn: int) -> StepPair:
        dice = Dice(f"focusdiff shapes alone {self._seed} {step} {place}")
        subtask, scenes = self._scenes(dice, turn)
        return StepPair(f"{step}-{place}", subtask, (write_prompt(scenes[0]),))

    def _scenes(self, dice: Dice, turn: int) -> tuple[Subtask, tuple[Scene, Scene]]:
        subtask = self._subtasks[turn % len(self._subtasks)]
        while True:
            scenes = sample_pair(dice, subtask, dice.pick(self._kinds[subtask]))
            if not any(map(is_held_out, scenes)):
                return subtask, scenes
