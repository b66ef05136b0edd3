"""How much computing an arm takes, by its recipe alone: every draw of a run is seeded, so it need not have happened."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from focusdiff.ablation.flops import Costs, added, members_flops, policy_costs
from focusdiff.groups import groups_of
from focusdiff.launch import training_pairs
from focusdiff.policies import load_policy
from focusdiff.recipe import RLRecipe
from focusdiff.schedules import piecewise_linear

if TYPE_CHECKING:
    from paircomp.protocols import Policy

__all__ = ["open_policy", "picture_costs", "run_flops"]


def open_policy(recipe: RLRecipe, checkpoint: str | None = None) -> Policy:
    """The recipe's policy, with its own weights or others."""
    asked = recipe.policy
    return load_policy(asked.name, checkpoint or asked.checkpoint, options=asked.options, dtype=asked.dtype or None)


def picture_costs(recipe: RLRecipe) -> Costs:
    """Of one picture, measured on the pairs of the first steps."""
    drawn = training_pairs(dataclasses.replace(recipe, prompts=dataclasses.replace(recipe.prompts, source="shapes")))
    pairs = drawn.draw(0, 6)
    prompts = [prompt for pair in pairs for prompt in pair.prompts]
    pictures = [picture for pair in pairs for picture in pair.pictures or ()]
    return policy_costs(open_policy(recipe), prompts, pictures)


def run_flops(recipe: RLRecipe, costs: Costs) -> dict[str, float]:
    """FLOPs of a whole run of reinforcement learning, by part and in total."""
    pairs, steps = training_pairs(recipe), []
    for step in range(recipe.loop.steps):
        probability = piecewise_linear(step, recipe.groups.probability, total=recipe.loop.steps)
        groups = groups_of(pairs.draw(step, recipe.prompts.pairs), recipe.groups, seed=recipe.loop.seed, step=step,
                           probability=probability)  # fmt: skip
        steps.append(members_flops(groups, costs, negatives=recipe.groups.negatives,
                                   reference=recipe.objective.beta > 0))  # fmt: skip
    return added(steps)
