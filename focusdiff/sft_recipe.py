"""What a supervised training is made of: frozen dataclasses, one per section of a recipe file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from focusdiff.janus_tiny.plans import ImageTokenizerPlan
from focusdiff.observers.recipe import TrackerName, doubled
from focusdiff.recipe import PolicyRecipe
from focusdiff.sft_plan import SftPlan

__all__ = ["ExamplesRecipe", "SftRecipe", "SftRunRecipe", "SftTrackingRecipe", "StartRecipe"]


@dataclass(frozen=True)
class StartRecipe:
    """Weights that are made instead of read.

    Attributes:
        model: ``janus-tiny`` begins one from nothing, image tokenizer included; empty reads ``policy.checkpoint``.
        seed: of its first weights.
        image_tokenizer: how its image tokenizer is fitted.
    """

    model: Literal["", "janus-tiny"] = ""
    seed: int = 0
    image_tokenizer: ImageTokenizerPlan = field(default_factory=ImageTokenizerPlan)


@dataclass(frozen=True)
class ExamplesRecipe:
    """Where prompts and pictures come from.

    Attributes:
        source: ``shapes-skewed``: the skewed and noisy data of ``janus-tiny``; ``shapes``: pairs of the embedded world
            with clean pictures, none of a fixed suite, in the order in which reinforcement learning draws them;
            ``shapes-crowded``: those whose scenes show two kinds of thing;
            else a dataset of pairs (``focusdiff data``), a JSON or a JSONL file of them.
        pairs: with ``shapes`` and ``shapes-crowded``, how many different pairs there are before they repeat; 0 never
            repeats.
        seed: of the draw.
    """

    source: str
    pairs: int = 0
    seed: int = 0

    def faults(self) -> Iterator[str]:
        """What does not fit, each in words."""
        if self.pairs < 0:
            yield f"pairs: expected a count from 0, got {self.pairs}"


@dataclass(frozen=True)
class SftRunRecipe:
    """The run itself.

    Attributes:
        threads: of the processor; 0 leaves them to torch. Another number of threads adds in another order, so a recipe
            that promises its bytes names it.
        checkpoint_every: steps between two states on disk.
        weights: number format of the written checkpoint; the policy's own when empty.
    """

    threads: int = 0
    checkpoint_every: int = 200
    weights: Literal["", "float32", "bfloat16"] = ""

    def faults(self) -> Iterator[str]:
        """What does not fit, each in words."""
        if self.threads < 0:
            yield f"threads: expected a count from 0, got {self.threads}"
        if self.checkpoint_every < 1:
            yield f"checkpoint_every: expected a count from 1, got {self.checkpoint_every}"


@dataclass(frozen=True)
class SftTrackingRecipe:
    """Who is told of the run. A run may be continued with another section: nothing here changes its weights.

    Attributes:
        trackers: where the numbers of ``metrics.jsonl`` are sent, through accelerate. Keys of services come from their
            own environment or login and are written nowhere.
        project: what services file the run under; the run itself is called by its folder's name.
    """

    trackers: tuple[TrackerName, ...] = ()
    project: str = "focusdiff"

    def faults(self) -> Iterator[str]:
        """What does not fit, each in words."""
        yield from doubled(self, "trackers")


@dataclass(frozen=True)
class SftRecipe:
    """A supervised training.

    Attributes:
        examples: where prompts and pictures come from.
        training: steps, rate, optimiser.
        policy: whose weights are trained.
        start: weights that are made instead of read.
        run: threads and checkpoints.
        tracking: who is told of the run.
    """

    examples: ExamplesRecipe
    training: SftPlan
    policy: PolicyRecipe = field(default_factory=PolicyRecipe)
    start: StartRecipe = field(default_factory=StartRecipe)
    run: SftRunRecipe = field(default_factory=SftRunRecipe)
    tracking: SftTrackingRecipe = field(default_factory=SftTrackingRecipe)
