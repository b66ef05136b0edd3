"""The arms of the ablation: what is trained, and what of it differs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from paircomp.errors import UnknownNameError

__all__ = ["ARMS", "BASE", "Arm", "arm_named"]

Training = Literal["none", "sft", "rl"]
Negatives = Literal["loss", "statistics"]
Data = Literal["base", "pairs", "prompts"]

#: The arm of the untouched model: every other is held against it.
BASE = "base"


@dataclass(frozen=True)
class Arm:
    """One line of the table.

    Attributes:
        name: what ``--arms`` takes and files are named by.
        title: what tables call it.
        meaning: one line for the documentation.
        training: how the base is trained on.
        data: what on: the base's own noisy data, the pairs of FocusDiff, or prompts without partners.
        joint: whether both prompts of a pair form one group (the paper's group expanding).
        ground_truth: whether the true pictures enter the groups.
        negatives: what the true picture of the *other* prompt does: pushes down in the loss too, as the paper has it,
            or enters the group's mean and spread only.
        seeds: of training, at least so many for a claim.
    """

    name: str
    title: str
    meaning: str
    training: Training
    data: Data = "pairs"
    joint: bool = False
    ground_truth: bool = False
    negatives: Negatives = "statistics"
    seeds: int = 3


_EVERY = (
    Arm(BASE, "base", "the model that all others start from", "none", seeds=7),
    Arm("sft_more", "SFT, own data", "supervised on more of the base's own noisy data", "sft", data="base", seeds=7),
    Arm("sft_pairs", "SFT, pairs", "supervised on the pairs of the RL arms, with their clean pictures", "sft", seeds=7),
    Arm("vanilla", "vanilla GRPO", "one group per prompt, sampled pictures only", "rl", seeds=7),
    Arm("vanilla_other_prompts", "vanilla, other prompts", "vanilla on prompts without partners", "rl", data="prompts"),
    Arm("wo_group", "w/o group expanding", "one group per prompt, true pictures enter", "rl", ground_truth=True),
    Arm("wo_gt", "w/o GT image", "one group per pair, sampled pictures only", "rl", joint=True),
    Arm("pair", "Pair-GRPO", "one group per pair, true pictures enter; the other prompt's in the statistics only", "rl",
        joint=True, ground_truth=True, seeds=7),
    Arm("pair_literal", "Pair-GRPO, literal", "Pair-GRPO as printed: the other prompt's true picture in the loss too",
        "rl", joint=True, ground_truth=True, negatives="loss"),
)  # fmt: skip

#: Every arm by name, in the order of the table.
ARMS: dict[str, Arm] = {arm.name: arm for arm in _EVERY}


def arm_named(name: str) -> Arm:
    """One arm.

    Raises:
        UnknownNameError: there is none of that name; the nearest is suggested.
    """
    if name not in ARMS:
        raise UnknownNameError("arm", name, ARMS)
    return ARMS[name]
