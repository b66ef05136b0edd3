"""What a reinforcement-learning run is made of: frozen dataclasses, one per section of a recipe file.

Where a field's source is the paper, it is FocusDiff, arXiv 2506.05501; `official` is the code published with it. An
option exists only where the paper, the published code or an arm of the ablation sets it; the rest are constants.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from focusdiff.groups import GroupRecipe
from focusdiff.lora import LoraRecipe
from focusdiff.objective import Normalisation
from focusdiff.observers.recipe import TrackingRecipe
from focusdiff.schedules import LearningRate, Position, step_of
from focusdiff.steadiness import SteadinessRecipe

__all__ = ["LoopRecipe", "ObjectiveRecipe", "OptimiserRecipe", "PolicyRecipe", "PromptRecipe", "RLRecipe",
           "RewardRecipe"]  # fmt: skip


@dataclass(frozen=True)
class PolicyRecipe:
    """Whose weights are trained, and how rollouts are drawn.

    Attributes:
        name: of a policy (entry-point group ``paircomp.policies``).
        checkpoint: a folder or hub id; the command's ``--checkpoint`` goes before it.
        dtype: of the weights; the policy's own default when empty.
        options: of the policy's factory, for ``janus`` guidance, temperature, truncation and convention. Paper:
            guidance 5, every code kept in rollouts.
    """

    name: str = "janus"
    checkpoint: str = ""
    dtype: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PromptRecipe:
    """Where prompts come from.

    Attributes:
        source: ``shapes``: pairs of the embedded world with clean ground truth, none of a fixed suite;
            ``shapes-crowded``: those whose scenes show two kinds of thing, which are harder; ``shapes-unpaired`` and
            ``shapes-crowded-unpaired``: as many single prompts, without partners or ground truth; a ``.txt`` file:
            prompts without partner, one a line; any other path: pairs, see `focusdiff.data.pairs.read_pairs`.
        pairs: of one step. Paper: 64 (128 prompts); published code: 32.
    """

    source: str
    pairs: int

    def faults(self) -> Iterator[str]:
        """What does not fit, each in words."""
        if self.pairs < 1:
            yield f"pairs: expected a count from 1, got {self.pairs}"


@dataclass(frozen=True)
class RewardRecipe:
    """What rewards pictures.

    Attributes:
        judge: by name (`paircomp judges`), or a function by entry point (``focusdiff.rewards``). The trained model is
            marked with it.
        options: of its factory; ``checkpoint`` names a judge's weights.
        weights: of the sum, by name: further judges and functions, and ``judge`` itself where its own is not 1. The
            paper and the published code use one judge.
        options_of: of each further one, by name.
        long_prompt_judge: in place of ``judge`` for long prompts, one that asks about their parts; none when empty.
            Paper: long prompts are taken apart (appendix C); the published code never does.
        long_prompt_words: from which a prompt is long. Ours: the paper prints no number.
        most_unscored: share of a step's pictures that may stay unscored; beyond it the run stops. Ours.
    """

    judge: str
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    options_of: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    long_prompt_judge: str = ""
    long_prompt_words: int = 60
    most_unscored: float = 0.5

    def faults(self) -> Iterator[str]:
        """What does not fit, each in words."""
        for name, weight in self.weights.items():
            if not isinstance(weight, (int, float)) or isinstance(weight, bool) or not math.isfinite(weight):
                yield f"weights.{name}: expected a number, got {weight!r}"
        for name, options in self.options_of.items():
            if not isinstance(options, Mapping):
                yield f"options_of.{name}: expected a table, got {options!r}"
        if self.long_prompt_words < 1:
            yield f"long_prompt_words: expected a count from 1, got {self.long_prompt_words}"
        if not 0 <= self.most_unscored <= 1:
            yield f"most_unscored: expected a share from 0 to 1, got {self.most_unscored}"


@dataclass(frozen=True)
class ObjectiveRecipe:
    """The loss.

    Attributes:
        beta: weight of the KL to the reference. Published code: 0.04 (a default it inherits); the paper prints none.
        epsilon: half width of the trusted range of the ratio. 0.2 is in the published configuration, unused there.
        kl: ``k3``: the estimate of paper and published code; ``exact``: over all codes, for small codebooks.
        kl_members: ``sampled``: members that the policy drew; ``all``: all members in the loss, as published.
        normalisation: over ``token`` (paper) or ``sequence`` (published code).
    """

    beta: float = 0.04
    epsilon: float = 0.2
    kl: Literal["k3", "exact"] = "k3"
    kl_members: Literal["sampled", "all"] = "sampled"
    normalisation: Normalisation = "token"

    def faults(self) -> Iterator[str]:
        """What does not fit, each in words."""
        for name in ("beta", "epsilon"):
            if not 0 <= getattr(self, name) < math.inf:
                yield f"{name}: expected a number from 0, got {getattr(self, name)}"


@dataclass(frozen=True)
class OptimiserRecipe:
    """AdamW and the way of its learning rate.

    Attributes:
        rate: the peak. Published code: 1e-5.
        warm_up: steps of the linear rise. Published code: 100.
        convert_rate: where the fast linear fall ends. Published code: 2e-6.
        convert_at: the position at which it ends. Published code: step 300.
        final_rate: at the end of the run. Published code: 2e-7.
        fall: from there on ``cosine`` (paper) or ``linear`` (published code).
        betas: of the moving averages. The published code takes its library's 0.9 and 0.999.
        weight_decay: per step, times the rate. Published code: 0.
        max_gradient_norm: gradients are scaled down to it. Published code: 1.
    """

    rate: float
    warm_up: int
    convert_rate: float
    convert_at: Position
    final_rate: float
    fall: Literal["cosine", "linear"] = "cosine"
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    max_gradient_norm: float = 1.0

    def faults(self) -> Iterator[str]:
        """What does not fit, each in words."""
        for name in ("rate", "convert_rate", "final_rate", "weight_decay"):
            if not 0 <= getattr(self, name) < math.inf:
                yield f"{name}: expected a number from 0, got {getattr(self, name)}"
        if self.warm_up < 0:
            yield f"warm_up: expected a count from 0, got {self.warm_up}"
        if not all(0 <= beta < 1 for beta in self.betas):
            yield f"betas: expected two shares from 0 and below 1, got {list(self.betas)}"
        if not self.max_gradient_norm > 0:
            yield f"max_gradient_norm: expected a number above 0, got {self.max_gradient_norm}"

    @property
    def schedule(self) -> LearningRate:
        """The rate by step."""
        return LearningRate(self.rate, self.warm_up, self.convert_rate, self.convert_at, self.final_rate, self.fall)


@dataclass(frozen=True)
class LoopRecipe:
    """The loop itself.

    Attributes:
        steps: updates of the run. Paper: 2200.
        micro_batch: members whose gradients are computed together; memory, not results.
        rollout_batch: most pictures sampled together: the keys and values of a picture's tokens are held until it is
            drawn, so this bounds their memory; 0 samples the whole step at once.
        seed: of prompts, rollouts and ground truth.
        precision: ``float32`` or ``bfloat16`` autocast of the training passes; rollouts use the weights' own format.
        gradient_checkpointing: compute the language model's layers again in the backward pass: memory for time.
        sharding: of several processes, ``none``: each holds all weights; ``full``: each holds its share of weights,
            gradients and optimiser state, at the cost of gathering them for every pass. Memory, not results.
        compile: pass the language model through ``torch.compile`` (costs its time once).
        checkpoint_every: steps between checkpoints; the last step always has one.
        keep: checkpoints kept, the newest ones.
        probe_every: steps between looks at what the policy makes of the pairs' ground truth, which change nothing: the
            log-probability of the right picture and of the other prompt's; 0 never looks.
        weights: number format of the finished model's file; the policy's own when empty.
        layout: of all checkpoints, for ``janus`` that of ``transformers`` or the ``original`` one; the policy's default
            when empty.
    """

    steps: int
    micro_batch: int
    rollout_batch: int = 0
    seed: int = 0
    precision: Literal["float32", "bfloat16"] = "float32"
    gradient_checkpointing: bool = False
    sharding: Literal["none", "full"] = "none"
    compile: bool = False
    checkpoint_every: int = 100
    keep: int = 2
    probe_every: int = 0
    weights: Literal["", "float32", "bfloat16"] = ""
    layout: Literal["", "transformers", "original"] = ""

    def faults(self) -> Iterator[str]:
        """What does not fit, each in words."""
        for name in ("steps", "micro_batch", "checkpoint_every", "keep"):
            if getattr(self, name) < 1:
                yield f"{name}: expected a count from 1, got {getattr(self, name)}"
        for name in ("rollout_batch", "probe_every"):
            if getattr(self, name) < 0:
                yield f"{name}: expected a count from 0, got {getattr(self, name)}"


@dataclass(frozen=True)
class RLRecipe:
    """A reinforcement-learning run.

    Attributes:
        prompts: where prompts come from.
        reward: what rewards pictures.
        optimiser: AdamW and its learning rate.
        loop: the loop itself.
        policy: whose weights are trained.
        groups: whose rewards are compared.
        objective: the loss.
        steadiness: what is done when the reward falls or stands still.
        tracking: who is told of the run.
        lora: whether adapters are trained in place of the weights.
    """

    prompts: PromptRecipe
    reward: RewardRecipe
    optimiser: OptimiserRecipe
    loop: LoopRecipe
    policy: PolicyRecipe = field(default_factory=PolicyRecipe)
    groups: GroupRecipe = field(default_factory=GroupRecipe)
    objective: ObjectiveRecipe = field(default_factory=ObjectiveRecipe)
    steadiness: SteadinessRecipe = field(default_factory=SteadinessRecipe)
    tracking: TrackingRecipe = field(default_factory=TrackingRecipe)
    lora: LoraRecipe = field(default_factory=LoraRecipe)

    def faults(self) -> Iterator[str]:
        """What does not fit between sections, each in words."""
        if self.lora.rank and self.steadiness.ref_update == "ema":
            yield ("steadiness.ref_update: 'ema' does not go with lora (a mean of factors is no mean of adapters), "
                   "expected none, every_n or on_plateau")  # fmt: skip
        if self.objective.beta == 0 and self.steadiness.ref_update != "none":
            yield (f"steadiness.ref_update: with objective.beta 0 there is no reference, expected none, "
                   f"got {self.steadiness.ref_update}")  # fmt: skip
        if self.loop.sharding == "full":
            if self.lora.rank:
                yield "loop.sharding: 'full' does not go with lora yet, expected 'none'"
            if self.policy.options.get("step", "eager") == "graphed":
                yield "loop.sharding: 'full' moves weights, which policy.options.step='graphed' does not see"
        yield from self._misplaced()
        if self.loop.checkpoint_every > 0 and (every := self.tracking.evaluate_every) % self.loop.checkpoint_every:
            said = f"expected a multiple of loop.checkpoint_every ({self.loop.checkpoint_every}), got {every}"
            yield f"tracking.evaluate_every: {said}"

    def _misplaced(self) -> Iterator[str]:
        """Faults of the positions within the run, and of what happens at them."""
        knots = self.groups.probability
        named = [(f"groups.probability[{place}]", knot[0]) for place, knot in enumerate(knots)]
        places: list[float] = []
        for name, position in (("optimiser.convert_at", self.optimiser.convert_at), *named):
            try:
                places.append(step_of(position, self.loop.steps))
            except ValueError as error:
                yield f"{name}: {error}"
        readable = len(places) == 1 + len(knots)
        if not knots or (readable and any(later <= earlier for earlier, later in pairwise(places[1:]))):
            yield f"groups.probability: expected knots at ascending positions, got {[list(knot) for knot in knots]}"
        if not all(0 <= chance <= 1 for _, chance in knots):
            yield f"groups.probability: expected chances from 0 to 1, got {[chance for _, chance in knots]}"
