"""Training one arm: what of the recipe it changes, and what of the training is kept.

Reinforcement-learning arms run the recipe with other groups or prompts. Supervised arms get as many counted FLOPs as
`pair` takes with the same seed, at the recipe's learning rate and shape of its schedule.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from focusdiff.ablation.arms import ARMS, Arm
from focusdiff.ablation.flops import Costs, added, members_flops, policy_costs
from focusdiff.ablation.likelihood import likelihood
from focusdiff.ablation.measuring import SAMPLERS, measure
from focusdiff.ablation.worker import Job, TrainedArm
from focusdiff.groups import groups_of
from focusdiff.launch import train, training_pairs
from focusdiff.policies import load_policy
from focusdiff.recipe import RLRecipe
from focusdiff.recipe_reading import read_recipe
from focusdiff.schedules import piecewise_linear
from paircomp.errors import UnknownNameError
from paircomp.plugins import Registry
from paircomp.run_store import Selection
from paircomp.suites import load_suite
from paircomp.types import ModelSpec

if TYPE_CHECKING:
    from PIL.Image import Image

    from paircomp.protocols import Policy

__all__ = ["arm_values", "read_arm", "train_arm"]

_CURVE_POINTS = 7
_CURVE_PAIRS = 60
_LIKELIHOOD_PAIRS = 120
_SFT_BATCH = 24
_NOISY_SEED = 1000  # the base saw the stream of seed 0


def train_arm(arm: Arm, seed: int, job: Job, folder: Path) -> TrainedArm:
    """Train one arm in `folder`; an `ArmTrainer`."""
    base = job.base_spec()
    if arm.training == "none":
        return TrainedArm(said=_untrained(base, job, seed))
    recipe = read_arm(arm, seed, job)
    curve = Curve(base, job, seed, folder)
    curve.take(0, None)
    trainer = _reinforced if arm.training == "rl" else _supervised
    checkpoint, said = trainer(arm, recipe, folder, curve)
    said["seconds"]["curve"] = curve.seconds
    said["diagnostics"] |= _likelihood(recipe, checkpoint, job)
    return TrainedArm(checkpoint, said, curve.rows)


def read_arm(arm: Arm, seed: int, job: Job) -> RLRecipe:
    """The recipe as an arm runs it; that of ``pair`` for supervised arms, whose measure it is."""
    values = {**arm_values(arm if arm.training == "rl" else ARMS["pair"]), **job.settings}
    values |= {"loop.seed": seed, "policy.checkpoint": job.base_spec().checkpoint or ""}
    if job.steps is not None:
        values["loop.steps"] = job.steps
    recipe: RLRecipe = read_recipe(RLRecipe, job.recipe, folder="rl", values=values)
    every = max(1, math.ceil(recipe.loop.steps / _CURVE_POINTS))
    return dataclasses.replace(recipe, loop=dataclasses.replace(recipe.loop, checkpoint_every=every, keep=1))


def arm_values(arm: Arm) -> dict[str, Any]:
    """What an RL arm changes in a recipe, by ``section.key``."""
    values: dict[str, Any] = {"groups.grouping": "pair" if arm.joint else "prompt", "groups.negatives": arm.negatives}
    if not arm.ground_truth:
        values["groups.probability"] = [[0, 0.0]]
    if arm.data == "prompts":
        values["prompts.source"] = "shapes-unpaired"
    if arm.negatives == "loss":
        values["objective.kl_members"] = "all"
    return values


class Curve:
    """Measurements during training, under plain sampling, on some pairs of ``shapes-dev``; an `Observer`.

    Args:
        base: the model that is trained.
        job: of the ablation.
        seed: of the images.
        folder: for scratch.

    Attributes:
        rows: ``{"step", "s_a", "s_g", "gap", "full_pass"}``.
        seconds: spent here, which are not training's.
    """

    def __init__(self, base: ModelSpec, job: Job, seed: int, folder: Path) -> None:
        self._base, self._job, self._seed, self._scratch = base, job, seed, folder / "curve"
        self._suite = load_suite(Registry(), "shapes-dev")
        self.rows: list[dict[str, float]] = []
        self.seconds = 0.0

    def take(self, step: int, checkpoint: Path | None) -> None:
        """Measure a checkpoint; ``None`` is the base."""
        began = time.monotonic()
        spec = self._base if checkpoint is None else self._base.overridden(checkpoint=str(checkpoint))
        judge, limit = self._job.judges[0], min(_CURVE_PAIRS, self._job.limit or _CURVE_PAIRS)
        found = measure(spec, self._suite, SAMPLERS["plain"], judges=[judge], seed=self._seed, scratch=self._scratch,
                        limit=limit)  # fmt: skip
        means = found.judges[judge].average
        self.rows.append({"step": step, "s_a": means.s_a, "s_g": means.s_g, "gap": means.gap,
                          "full_pass": means.full_pass})  # fmt: skip
        self.seconds += time.monotonic() - began

    def on_checkpoint(self, step: int, folder: Path) -> None:
        """Measure it."""
        self.take(step, folder / "model")

    def on_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """The run's own folder keeps the numbers."""

    def on_samples(
        self, step: int, prompts: Sequence[str], pictures: Sequence[Image], rewards: Sequence[float]
    ) -> None:
        """Nothing is kept of them."""

    def on_event(self, step: int, kind: str, message: str) -> None:
        """The run's own folder keeps them."""

    def close(self) -> None:
        """Nothing to free."""


class _Clock:
    """Seconds of training: those that a curve spends measuring do not count."""

    def __init__(self, curve: Curve) -> None:
        self._curve = curve
        self._began = time.monotonic() - curve.seconds

    def seconds(self) -> float:
        """So far."""
        return time.monotonic() - self._curve.seconds - self._began


def _reinforced(arm: Arm, recipe: RLRecipe, folder: Path, curve: Curve) -> tuple[Path, dict[str, Any]]:
    costs = _costs(recipe)
    clock = _Clock(curve)
    out = folder / "rl"
    checkpoint = train(recipe, out, observers=[curve])
    seconds = clock.seconds()
    steps = [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return checkpoint, {
        "recipe": dataclasses.asdict(recipe), "steps": len(steps),
        "images": sum(step.get("members/sampled", 0) for step in steps), "flops": _rl_flops(recipe, costs),
        "costs": costs.to_json(), "seconds": {"training": seconds, **_sums(steps, "seconds/")},
        "log": _columns(steps), "diagnostics": _diagnostics(steps),
    }  # fmt: skip


def _supervised(arm: Arm, recipe: RLRecipe, folder: Path, curve: Curve) -> tuple[Path, dict[str, Any]]:
    from focusdiff.examples import open_examples
    from focusdiff.sft import train as train_supervised
    from focusdiff.sft_plan import SftPlan
    from focusdiff.sft_recipe import ExamplesRecipe

    costs = _costs(recipe)
    budget = _rl_flops(recipe, costs)["total"]
    each = costs.supervised + costs.encode
    steps = max(1, round(budget / (_SFT_BATCH * each)))
    asked, seed = recipe.optimiser, recipe.loop.seed
    plan = SftPlan(steps, _SFT_BATCH, asked.rate, asked.warm_up, asked.final_rate / asked.rate, betas=asked.betas,
                   weight_decay=asked.weight_decay, clip=asked.max_gradient_norm, seed=seed)  # fmt: skip
    examples = (
        ExamplesRecipe("shapes-skewed", seed=_NOISY_SEED + seed) if arm.data == "base"
        else ExamplesRecipe("shapes", pairs=recipe.loop.steps * recipe.prompts.pairs, seed=seed)
    )  # fmt: skip
    policy = _policy(recipe)
    place = folder / "model"

    def evaluate(done: int) -> None:
        policy.save(place)
        curve.take(done, place)

    clock = _Clock(curve)
    train_supervised(policy, open_examples(examples), plan, folder / "sft", evaluate=evaluate,
                     checkpoint_every=max(1, math.ceil(steps / _CURVE_POINTS)))  # fmt: skip
    policy.save(place)
    seconds = clock.seconds()
    return place, {
        "plan": dataclasses.asdict(plan), "examples": dataclasses.asdict(examples), "steps": steps,
        "images": steps * _SFT_BATCH, "flops": {"matched_to": budget, "total": steps * _SFT_BATCH * each},
        "costs": costs.to_json(), "seconds": {"training": seconds}, "diagnostics": {},
    }  # fmt: skip


def _policy(recipe: RLRecipe, checkpoint: str | None = None) -> Policy:
    asked = recipe.policy
    return load_policy(asked.name, checkpoint or asked.checkpoint, options=asked.options, dtype=asked.dtype or None)


def _costs(recipe: RLRecipe) -> Costs:
    """Of one picture, measured on the pairs of the first steps."""
    drawn = training_pairs(dataclasses.replace(recipe, prompts=dataclasses.replace(recipe.prompts, source="shapes")))
    pairs = drawn.draw(0, 6)
    prompts = [prompt for pair in pairs for prompt in pair.prompts]
    pictures = [picture for pair in pairs for picture in pair.pictures or ()]
    return policy_costs(_policy(recipe), prompts, pictures)


def _rl_flops(recipe: RLRecipe, costs: Costs) -> dict[str, float]:
    """FLOPs of a whole run, by part: every draw of it is seeded, so it need not have happened."""
    pairs, steps = training_pairs(recipe), []
    for step in range(recipe.loop.steps):
        probability = piecewise_linear(step, recipe.groups.probability, total=recipe.loop.steps)
        groups = groups_of(pairs.draw(step, recipe.prompts.pairs), recipe.groups, seed=recipe.loop.seed, step=step,
                           probability=probability)  # fmt: skip
        steps.append(members_flops(groups, costs, negatives=recipe.groups.negatives,
                                   reference=recipe.objective.beta > 0))  # fmt: skip
    return added(steps)


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
    found = likelihood(_policy(recipe, str(checkpoint)), [suite.pairs[place] for place in pairs])
    return {f"log p {name}": value for name, value in found.to_json().items()}


def _columns(steps: Sequence[Mapping[str, float]]) -> dict[str, list[float | None]]:
    """Per-step numbers by name, short enough to keep."""
    names = dict.fromkeys(name for step in steps for name in step if not name.startswith("seconds/"))
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
