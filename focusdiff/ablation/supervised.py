"""Supervised arms: more of the base's own noisy data, or the pairs of the reinforcement-learning arms."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

from focusdiff.ablation.arms import Arm
from focusdiff.ablation.computing import open_policy, picture_flops, run_flops
from focusdiff.ablation.curve_taking import CURVE_POINTS, Clock, Curve
from focusdiff.examples import open_examples
from focusdiff.recipe import RLRecipe
from focusdiff.sft import train
from focusdiff.sft_plan import SftPlan
from focusdiff.sft_recipe import ExamplesRecipe

__all__ = ["train_supervised"]

_BATCH = 24
_NOISY_SEED = 1000  # the base saw the stream of seed 0


def train_supervised(arm: Arm, recipe: RLRecipe, folder: Path, curve: Curve) -> tuple[Path, dict[str, Any]]:
    """Train with as many counted FLOPs as a run of reinforcement learning takes.

    Args:
        arm: names the data.
        recipe: of that run; its learning rate, betas and norm are taken, and its pairs.
        folder: of the training.
        curve: takes measurements.

    Returns:
        the checkpoint, and what there is to say of the training.
    """
    each = picture_flops(recipe)
    budget = run_flops(recipe, each)
    steps = max(1, round(budget / each.supervised(_BATCH)))
    asked, seed = recipe.optimiser, recipe.loop.seed
    plan = SftPlan(steps, _BATCH, asked.rate, asked.warm_up, asked.final_rate / asked.rate, betas=asked.betas,
                   weight_decay=asked.weight_decay, clip=asked.max_gradient_norm, seed=seed)  # fmt: skip
    examples = (
        ExamplesRecipe("shapes-skewed", seed=_NOISY_SEED + seed) if arm.data == "base"
        else ExamplesRecipe(recipe.prompts.source, pairs=recipe.loop.steps * recipe.prompts.pairs, seed=seed)
    )  # fmt: skip
    policy = open_policy(recipe)
    place = folder / "model"

    def evaluate(done: int) -> None:
        policy.save(place)
        curve.take(done, place)

    clock = Clock(curve)
    train(policy, open_examples(examples), plan, folder / "sft", evaluate=evaluate,
                     checkpoint_every=max(1, math.ceil(steps / CURVE_POINTS)))  # fmt: skip
    policy.save(place)
    seconds = clock.seconds()
    return place, {
        "plan": dataclasses.asdict(plan), "examples": dataclasses.asdict(examples), "steps": steps,
        "images": steps * _BATCH, "flops": {"matched_to": budget, "total": each.supervised(steps * _BATCH)},
        "seconds": {"training": seconds}, "diagnostics": {},
    }  # fmt: skip
