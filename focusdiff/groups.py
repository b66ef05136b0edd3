"""Groups: whose rewards are compared with whose, and which ground-truth pictures join them.

Vanilla GRPO compares the G samples of one prompt. Pair-GRPO compares the 2G samples of both prompts of a pair, and with
a probability that falls over the run adds the ground-truth pictures of both prompts, each under both prompts: a
positive under its own, a negative under the other (FocusDiff, arXiv 2506.05501, section 3.2; 14 members become 18).

A negative member's reward belongs to its group's mean and spread whatever a recipe says. Whether it is also pushed down
is a choice, because pushing down a picture that differs from the right one in a few tokens pushes down the right one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from paircomp.shapes import Dice

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

    from focusdiff.training_protocols import StepPair

__all__ = ["Group", "GroupRecipe", "Kind", "Member", "groups_of", "pad_rewards", "unpadded"]

#: ``sampled`` from the policy, or a ground-truth picture under its own prompt (``positive``) or under the other
#: prompt of the pair (``negative``).
Kind = Literal["sampled", "positive", "negative"]

_SEED_BITS = 53


@dataclass(frozen=True)
class GroupRecipe:
    """How groups are made.

    Attributes:
        grouping: ``pair``: one group of both prompts (Pair-GRPO); ``prompt``: one group per prompt (vanilla GRPO).
        samples: G, pictures sampled per prompt. Paper and published code: 7.
        ground_truth: ``add``: ground truth joins the G samples (the paper: 14 members become 18); ``replace``: it takes
            the place of two samples per prompt, so that groups never grow (the published code: always 14).
        probability: of ground truth, by knots ``[position, value]``; a position is a step or a share such as ``"80%"``.
            Paper: from 1 at the start to 0 by the end. Published code: [[50, 1], [450, 0.25], [1200, 0]].
        negatives: ``loss``: negative members are pushed down (paper and published code); ``statistics``: their rewards
            count in the group's mean and spread only.
    """

    grouping: Literal["pair", "prompt"] = "pair"
    samples: int = 7
    ground_truth: Literal["add", "replace"] = "add"
    probability: tuple[tuple[int | str, float], ...] = ((0, 1.0), ("100%", 0.0))
    negatives: Literal["loss", "statistics"] = "loss"

    def faults(self) -> Iterator[str]:
        """What does not fit, each in words."""
        least = 3 if self.ground_truth == "replace" else 2
        if self.samples < least:
            yield f"samples: expected a count from {least}, got {self.samples}"


@dataclass(frozen=True)
class Member:
    """One picture in a group.

    Attributes:
        prompt: what it is held against.
        subtask: of its pair.
        kind: how it got there.
        seed: of its sample; ``None`` for ground truth.
        picture: ground truth; ``None`` for a sample.
    """

    prompt: str
    subtask: str
    kind: Kind
    seed: int | None = None
    picture: Image | None = field(default=None, compare=False)


#: Members whose rewards are compared with each other.
Group = tuple[Member, ...]


def groups_of(
    pairs: Sequence[StepPair], recipe: GroupRecipe, *, seed: int, step: int, probability: float
) -> list[Group]:
    """The groups of a step, in the order of the published code: per prompt its samples, its positive, its negative.

    Args:
        pairs: of the step.
        recipe: how.
        seed: of the run.
        step: from zero.
        probability: of ground truth at this step; drawn once per pair from (seed, step, place in the step).
    """
    found: list[Group] = []
    for place, pair in enumerate(pairs):
        joins = _ground_truth_joins(pair, probability, f"ground truth {seed} {step} {place}")
        parts = [_members(pair, prompt, recipe, f"{seed} {step} {place} {prompt}", joins=joins)
                 for prompt in range(len(pair.prompts))]  # fmt: skip
        found += [tuple(member for part in parts for member in part)] if recipe.grouping == "pair" else parts
    return found


def _ground_truth_joins(pair: StepPair, probability: float, drawn_from: str) -> bool:
    return pair.pictures is not None and Dice(drawn_from).chance(probability)


def _members(pair: StepPair, prompt: int, recipe: GroupRecipe, name: str, *, joins: bool) -> Group:
    """The members that are held against one prompt."""
    text = pair.prompts[prompt]
    truths = _truths(pair, prompt) if joins else ()
    samples = recipe.samples - (len(truths) if recipe.ground_truth == "replace" else 0)
    drawn = tuple(Member(text, pair.subtask, "sampled", seed=_seed(f"{name} {sample}")) for sample in range(samples))
    return drawn + truths


def _truths(pair: StepPair, prompt: int) -> Group:
    if pair.pictures is None:
        return ()
    text, own = pair.prompts[prompt], pair.pictures[prompt]
    others = [picture for place, picture in enumerate(pair.pictures) if place != prompt]
    positive = Member(text, pair.subtask, "positive", picture=own)
    return positive, *(Member(text, pair.subtask, "negative", picture=other) for other in others)


def _seed(name: str) -> int:
    """A seed below 2**53 that depends on where in the run a sample stands and on nothing else."""
    return int.from_bytes(hashlib.sha256(f"rollout {name}".encode()).digest()[:8], "big") >> (64 - _SEED_BITS)


def pad_rewards(rewards: Sequence[float], sizes: Sequence[int]) -> torch.Tensor:
    """Rewards of members in a row as one line per group: ``[N, M]``, NaN behind a group's own.

    Args:
        rewards: of all members, groups one after another.
        sizes: of the groups.
    """
    import torch

    padded = torch.full((len(sizes), max(sizes)), float("nan"))
    parts = iter(torch.tensor(list(rewards), dtype=torch.float32))
    for row, size in zip(padded, sizes, strict=True):
        for place in range(size):
            row[place] = next(parts)
    return padded


def unpadded(values: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
    """``[N, M]`` as one row again, without what :func:`pad_rewards` filled in."""
    import torch

    return torch.cat([row[:size] for row, size in zip(values, sizes, strict=True)])
