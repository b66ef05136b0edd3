"""From the reward section of a recipe to the reward of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from focusdiff.rewards.functions import FunctionScorer, reward_names
from focusdiff.rewards.judged import JudgeScorer
from focusdiff.rewards.long_prompts import LongPromptScorer
from focusdiff.rewards.scores import Scorer
from focusdiff.rewards.weighted import WeightedReward
from paircomp.errors import ConfigError, UnknownNameError
from paircomp.plugins import Registry

if TYPE_CHECKING:
    from focusdiff.recipe import RewardRecipe

__all__ = ["build_reward"]


def build_reward(recipe: RewardRecipe, *, device: str = "cpu") -> WeightedReward:
    """The judge, and what is added to it.

    Args:
        recipe: names judges and functions, with weights and options.
        device: where judges of this process run.

    Raises:
        UnknownNameError: neither a judge nor a function has that name; the nearest is suggested.
        ConfigError: options that do not fit, or of something that is not asked.
        AdapterError: one of them cannot be made.
    """
    weights = {recipe.judge: 1.0, **recipe.weights}
    named = {*weights, recipe.long_prompt_judge} - {""}
    if strangers := [name for name in recipe.options_of if name not in named]:
        raise ConfigError([f"options_of.{name}: not among the rewards ({', '.join(sorted(named))})"
                           for name in strangers], where="reward")  # fmt: skip
    made: list[Scorer] = []
    try:
        for name in weights:
            made.append(_scorer(name, _options(recipe, name), device))
        if recipe.long_prompt_judge:
            name = recipe.long_prompt_judge
            long = _scorer(name, _options(recipe, name), device)
            made[0] = LongPromptScorer(made[0], long, words=recipe.long_prompt_words)
    except BaseException:
        for scorer in made:
            scorer.close()
        raise
    return WeightedReward(made, list(weights.values()))


def _options(recipe: RewardRecipe, name: str) -> Mapping[str, Any]:
    return {**(recipe.options if name == recipe.judge else {}), **recipe.options_of.get(name, {})}


def _scorer(name: str, options: Mapping[str, Any], device: str) -> Scorer:
    registry = Registry()
    judges, functions = registry.names("judge"), reward_names()
    if name in judges and name in functions:
        raise ConfigError([f"{name!r} is both a judge and a function (focusdiff.rewards); next: rename one"],
                          where="reward")  # fmt: skip
    if name in functions:
        return FunctionScorer(name, options)
    if name not in judges:
        raise UnknownNameError("judge or reward", name, [*judges, *functions])
    return JudgeScorer(name, options, device=device, registry=registry)
