"""What the training loop asks of its surroundings: structural types, nothing to inherit from.

The loop of `focusdiff.trainer` knows rewards, observers and controllers by these protocols alone. None of them may draw
from a global random stream: the loop's own draws are seeded by (seed, step, place), and a resumed run must equal an
undisturbed one to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Adjustment", "Controller", "Observer", "PairSource", "Reward", "StepPair"]


@dataclass(frozen=True)
class StepPair:
    """Prompts of one place of a step: two that differ in a word, or one that has no partner.

    Attributes:
        pair_id: a label for people.
        subtask: what the prompts differ in; rewards are reported by it.
        prompts: two of a pair, one of an unpaired prompt.
        pictures: the ground truth, one per prompt; ``None`` where there is none.
    """

    pair_id: str
    subtask: str
    prompts: tuple[str, ...]
    pictures: tuple[Image, ...] | None = None


class PairSource(Protocol):
    """Where prompts come from."""

    def draw(self, step: int, count: int) -> Sequence[StepPair]:
        """The pairs of a step: the same for the same step, whatever was drawn before.

        Args:
            step: from zero.
            count: how many.
        """
        ...


class Reward(Protocol):
    """Says how well pictures match prompts, in its own time."""

    @property
    def name(self) -> str:
        """What the manifest of a trained checkpoint calls it: the judge's name."""
        ...

    def score(
        self, prompts: Sequence[str], pictures: Sequence[Image], subtasks: Sequence[str]
    ) -> Future[Sequence[float]]:
        """One number per picture, NaN where it could not be scored: never a silent 0.

        The loop goes on with the next rollout while the future is not done. An error set on it stops the step.

        Args:
            prompts: B texts.
            pictures: B pictures, one per text.
            subtasks: B names, for judges that look at one aspect.
        """
        ...

    def close(self) -> None:
        """Free what it holds; called once."""
        ...


class Observer(Protocol):
    """Is told of what happens, on the main process: trackers, live panels, sample grids, evaluations."""

    def on_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """A step is done: its numbers by name. Names with a slash belong together (``reward/color``)."""
        ...

    def on_samples(
        self, step: int, prompts: Sequence[str], pictures: Sequence[Image], rewards: Sequence[float]
    ) -> None:
        """Sampled pictures of a step with their rewards (NaN where unscored), before its update.

        Of several processes, those that the main one drew.
        """
        ...

    def on_event(self, step: int, kind: str, message: str) -> None:
        """Something worth a line: ``resumed``, ``learning rate``, ``reference``, ``diverged``, ``unscored``."""
        ...

    def on_checkpoint(self, step: int, folder: Path) -> None:
        """A checkpoint of `step` finished steps is whole on disk; ``folder / "model"`` is the policy's own layout.

        A run that is taken up tells of the checkpoint it was taken up from once more.
        """
        ...

    def close(self) -> None:
        """The run is over, or broke off; called once."""
        ...


@dataclass(frozen=True)
class Adjustment:
    """What a controller wants after a step.

    Attributes:
        learning_rate_scale: multiplies the scheduled learning rate from the next step on; 1 leaves it.
        move_reference: whether the reference model becomes the current policy.
        reference_share: with `move_reference`, how far of the way it goes; 1 is all of it.
        reason: for the event log; ``None`` where nothing changed.
    """

    learning_rate_scale: float = 1.0
    move_reference: bool = False
    reference_share: float = 1.0
    reason: str | None = None


class Controller(Protocol):
    """Watches the metrics and keeps the run steady (FocusDiff, arXiv 2506.05501, appendix C)."""

    def observe(self, step: int, metrics: Mapping[str, float]) -> Adjustment:
        """Called once after each step, with what :meth:`Observer.on_step` was told."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What it remembers, as JSON values: part of every checkpoint."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what :meth:`state_dict` gave."""
        ...
