"""How much computing an arm takes, by its recipe alone: every draw of a run is seeded, so it need not have happened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from focusdiff.flops import MemberFlops, member_flops
from focusdiff.groups import Group, groups_of
from focusdiff.launch import training_pairs
from focusdiff.policies import load_policy
from focusdiff.recipe import RLRecipe
from focusdiff.schedules import piecewise_linear

if TYPE_CHECKING:
    from paircomp.protocols import Policy

__all__ = ["open_policy", "picture_flops", "run_flops"]


def open_policy(recipe: RLRecipe, checkpoint: str | None = None) -> Policy:
    """The recipe's policy, with its own weights or others."""
    asked = recipe.policy
    return load_policy(asked.name, checkpoint or asked.checkpoint, options=asked.options, dtype=asked.dtype or None)


def picture_flops(recipe: RLRecipe) -> MemberFlops:
    """Operations for one picture, on the prompts of the run's first step."""
    pairs = training_pairs(recipe).draw(0, recipe.prompts.pairs)
    return member_flops(open_policy(recipe), [prompt for pair in pairs for prompt in pair.prompts])


def run_flops(recipe: RLRecipe, each: MemberFlops) -> float:
    """Operations of a whole run of reinforcement learning, as its steps would log them."""
    pairs, total = training_pairs(recipe), 0.0
    for step in range(recipe.loop.steps):
        probability = piecewise_linear(step, recipe.groups.probability, total=recipe.loop.steps)
        groups = groups_of(pairs.draw(step, recipe.prompts.pairs), recipe.groups, seed=recipe.loop.seed, step=step,
                           probability=probability)  # fmt: skip
        total += _step_flops(recipe, groups, each)
    return total


def _step_flops(recipe: RLRecipe, groups: Sequence[Group], each: MemberFlops) -> float:
    members = [member for group in groups for member in group]
    sampled = sum(member.kind == "sampled" for member in members)
    true = {id(member.picture) for member in members if member.picture is not None}
    watched = sum(member.kind == "negative" for member in members) if recipe.groups.negatives == "statistics" else 0
    parts = each.step(sampled=sampled, decoded=sampled + len(true), trained=len(members) - watched, watched=watched,
                      reference=recipe.objective.beta > 0)  # fmt: skip
    return sum(parts.values())
