"""Training one arm: what of the recipe it changes, and what of the training is kept.

Reinforcement-learning arms run the recipe with other groups or prompts. Supervised arms get as many counted FLOPs as
`pair` takes with the same seed, at the recipe's learning rate and shape of its schedule.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from focusdiff.ablation.arms import ARMS, Arm
from focusdiff.ablation.computing import open_policy
from focusdiff.ablation.curve_taking import CURVE_POINTS, Clock, Curve
from focusdiff.ablation.likelihood import likelihood
from focusdiff.ablation.supervised import train_supervised
from focusdiff.ablation.worker import Job, TrainedArm
from focusdiff.launch import train
from focusdiff.recipe import RLRecipe
from focusdiff.recipe_reading import read_recipe
from focusdiff.shapes_pairs import without_partners
from paircomp.errors import UnknownNameError
from paircomp.plugins import Registry
from paircomp.run_store import Selection
from paircomp.suites import load_suite
from paircomp.types import ModelSpec

__all__ = ["arm_values", "read_arm", "train_arm"]

_LIKELIHOOD_PAIRS = 120


def train_arm(arm: Arm, seed: int, job: Job, folder: Path) -> TrainedArm:
    """Train one arm in `folder`; an `ArmTrainer`."""
    base = job.base_spec()
    if arm.training == "none":
        return TrainedArm(said=_untrained(base, job, seed))
    recipe = read_arm(arm, seed, job)
    curve = Curve(base, job, seed, folder)
    curve.take(0, None)
    trainer = _reinforced if arm.training == "rl" else train_supervised
    checkpoint, said = trainer(arm, recipe, folder, curve)
    said["seconds"]["curve"] = curve.seconds
    said["diagnostics"] |= _likelihood(recipe, checkpoint, job)
    return TrainedArm(checkpoint, said, curve.rows)


def read_arm(arm: Arm, seed: int, job: Job) -> RLRecipe:
    """The recipe as an arm runs it; that of ``pair`` for supervised arms, whose measure it is.

    Raises:
        PairCompError: the recipe has faults, or no prompts without partners where the arm needs them.
    """
    values = {**job.settings, **arm_values(arm if arm.training == "rl" else ARMS["pair"])}
    values |= {"loop.seed": seed, "policy.checkpoint": job.base_spec().checkpoint or ""}
    if job.steps is not None:
        values["loop.steps"] = job.steps
    recipe: RLRecipe = read_recipe(RLRecipe, job.recipe, folder="rl", values=values)
    every = max(1, math.ceil(recipe.loop.steps / CURVE_POINTS))
    prompts = recipe.prompts
    if arm.data == "prompts":
        prompts = dataclasses.replace(prompts, source=without_partners(prompts.source))
    loop = dataclasses.replace(recipe.loop, checkpoint_every=every, keep=1)
    return dataclasses.replace(recipe, loop=loop, prompts=prompts)


def arm_values(arm: Arm) -> dict[str, Any]:
    """What an RL arm changes in a recipe, by ``section.key``."""
    values: dict[str, Any] = {"groups.grouping": "pair" if arm.joint else "prompt", "groups.negatives": arm.negatives}
    if not arm.ground_truth:
        values["groups.probability"] = [[0, 0.0]]
    if arm.negatives == "loss":
        values["objective.kl_members"] = "all"
    return values


def _reinforced(arm: Arm, recipe: RLRecipe, folder: Path, curve: Curve) -> tuple[Path, dict[str, Any]]:
    clock = Clock(curve)
    out = folder / "rl"
    checkpoint = train(recipe, out, observers=[curve])
    seconds = clock.seconds()
    steps = [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return checkpoint, {
        "recipe": dataclasses.asdict(recipe), "steps": len(steps),
        "images": sum(step["members/sampled"] for step in steps),
        "flops": {"total": math.fsum(step["flops"] for step in steps), **_sums(steps, "flops/")},
        "seconds": {"training": seconds, **_sums(steps, "seconds/")},
        "log": _columns(steps), "diagnostics": _diagnostics(steps),
    }  # fmt: skip


def _untrained(base: ModelSpec, job: Job, seed: int) -> dict[str, Any]:
    """The base's own likelihoods, where it is a policy."""
    try:
        Registry().policy(base.adapter)
    except UnknownNameError:
        return {}
    return {"diagnostics": _likelihood(read_arm(ARMS["pair"], seed, job), Path(base.checkpoint or ""), job)}


def _likelihood(recipe: RLRecipe, checkpoint: Path, job: Job) -> dict[str, float]:
    suite = load_suite(Registry(), "shapes-dev")
    pairs = Selection(min(_LIKELIHOOD_PAIRS, job.limit or _LIKELIHOOD_PAIRS)).pairs(suite)
    found = likelihood(open_policy(recipe, str(checkpoint)), [suite.pairs[place] for place in pairs])
    return {f"log p {name}": value for name, value in found.to_json().items()}


def _columns(steps: Sequence[Mapping[str, float]]) -> dict[str, list[float | None]]:
    """Per-step numbers by name, short enough to keep."""
    names = dict.fromkeys(name for step in steps for name in step if not name.startswith(("seconds/", "flops")))
    return {name: [_short(step.get(name)) for step in steps] for name in names}


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")


def _sums(steps: Sequence[Mapping[str, float]], prefix: str) -> dict[str, float]:
    names = dict.fromkeys(name for step in steps for name in step if name.startswith(prefix))
    return {name.removeprefix(prefix): math.fsum(step.get(name) or 0.0 for step in steps) for name in names}


def _diagnostics(steps: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """What tells how a run went: dead groups, the largest KL by kind of member, the largest gradient."""
    found = {
        "dead groups": _mean(step.get("groups/without_spread") for step in steps),
        "dead groups, sampled": _mean(step.get("groups/without_spread_sampled") for step in steps),
        "gradient norm, most": _most(step.get("gradient_norm") for step in steps),
        "unscored": _mean(step.get("unscored") for step in steps),
        **{f"k3 {kind}, most": _most(step.get(f"k3/{kind}") for step in steps)
           for kind in ("sampled", "positive", "negative")},
        "rollout difference, most": _most(step.get("rollout_difference") for step in steps),
    }  # fmt: skip
    return {name: value for name, value in found.items() if value is not None}


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
