"""One step of a recipe on something small, after a look for everything that the real run needs.

The small model is the embedded ``janus-tiny`` where the recipe trains a Janus, so that a recipe for seven thousand
million parameters can be tried on a laptop; policies of other families come with their own weights. A prompt source or
a reward that is not here is replaced too, and named among what is missing.
"""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from focusdiff.launch import build_models, build_rewards, training_pairs
from focusdiff.processes import open_processes
from focusdiff.run_folder import RunFolder
from paircomp.errors import PairCompError
from paircomp.runtime.weights import local_folder, weights_within_reach

if TYPE_CHECKING:
    from collections.abc import Mapping

    from focusdiff.recipe import RLRecipe
    from focusdiff.training_protocols import PairSource, Reward

__all__ = ["Rehearsal", "rehearse"]

_TINY = "package:focusdiff/checkpoints/janus-tiny"
_SAMPLES = 3  # the least that any grouping takes


@dataclass
class Rehearsal:
    """How the small step went.

    Attributes:
        numbers: of the step, as ``metrics.jsonl`` would have them.
        missing: what the real run needs and this machine lacks, each in words with what to do next.
        stood_in: what was put in its place, by what.
    """

    numbers: Mapping[str, float] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    stood_in: dict[str, str] = field(default_factory=dict)

    @property
    def reward_seconds(self) -> float | None:
        """Seconds of the reward for one picture; ``None`` where another one stood in."""
        if "reward" in self.stood_in:
            return None
        spent = sum(value for name, value in self.numbers.items() if name.startswith("reward_seconds/"))
        members = sum(value for name, value in self.numbers.items() if name.startswith("members/"))
        return spent / members if members else None


def rehearse(recipe: RLRecipe, *, device: str) -> Rehearsal:
    """Look for everything, build it small, do one step and write the model that comes out.

    Args:
        recipe: of the real run.
        device: where the step runs.

    Raises:
        PairCompError: the step itself failed.
    """
    from focusdiff.trainer import Trainer

    done = Rehearsal()
    _look_for_weights(recipe, done)
    pairs = _pairs(recipe, done)
    reward = _reward(recipe, done, device)
    try:
        with tempfile.TemporaryDirectory(prefix="focusdiff-") as place:
            small = _small(recipe, done)
            processes = open_processes(device=device, precision=small.loop.precision)
            folder = RunFolder(Path(place), layout=small.loop.layout)
            trainer = Trainer(small, build_models(small, None, device), pairs, reward, folder, processes)
            done.numbers = trainer.train_step(0)
            folder.write_model(trainer.policy, dtype=small.loop.weights, weights=trainer.whole_weights())
            processes.close()
    finally:
        reward.close()
    return done


def _look_for_weights(recipe: RLRecipe, done: Rehearsal) -> None:
    checkpoint = recipe.policy.checkpoint
    if not checkpoint:
        done.missing.append("policy.checkpoint: no weights are named; next: --checkpoint FOLDER|ID")
    elif local_folder(checkpoint) is None:
        try:
            weights_within_reach(f"policy {recipe.policy.name!r}", checkpoint)
        except PairCompError as error:
            done.missing.append(str(error))


def _pairs(recipe: RLRecipe, done: Rehearsal) -> PairSource:
    try:
        return training_pairs(recipe)
    except PairCompError as error:
        done.missing.append(str(error))
        done.stood_in["prompts"] = "shapes"
        prompts = dataclasses.replace(recipe.prompts, source="shapes")
        return training_pairs(dataclasses.replace(recipe, prompts=prompts))


def _reward(recipe: RLRecipe, done: Rehearsal, device: str) -> Reward:
    try:
        return build_rewards(recipe, device)
    except PairCompError as error:
        done.missing.append(str(error))
        done.stood_in["reward"] = "pixels"
        reward = dataclasses.replace(recipe.reward, judge="pixels", options={}, weights={}, options_of={},
                                     long_prompt_judge="")  # fmt: skip
        return build_rewards(dataclasses.replace(recipe, reward=reward), device)


def _small(recipe: RLRecipe, done: Rehearsal) -> RLRecipe:
    """The recipe with one pair of few samples, on a small model where there is one of its family."""
    policy = recipe.policy
    if policy.name == "janus" and policy.checkpoint != _TINY:
        done.stood_in["policy"] = "janus-tiny"
        policy = dataclasses.replace(policy, checkpoint=_TINY)
    return dataclasses.replace(
        recipe, policy=policy, prompts=dataclasses.replace(recipe.prompts, pairs=1),
        groups=dataclasses.replace(recipe.groups, samples=_SAMPLES),
        loop=dataclasses.replace(recipe.loop, sharding="none", probe_every=1),
    )  # fmt: skip
