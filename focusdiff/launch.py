"""From a recipe to a finished model: builds what the loop needs, resumes, trains."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from focusdiff.lora import AdapterReference, Adapters
from focusdiff.model_files import reinforced_manifest
from focusdiff.policies import Models, load_policy
from focusdiff.processes import Processes, open_processes
from focusdiff.run_folder import RunFolder
from focusdiff.threads import processor_threads
from paircomp.errors import ConfigError, DataError

if TYPE_CHECKING:
    from focusdiff.recipe import RLRecipe
    from focusdiff.training_protocols import Controller, Observer, PairSource, Reward
    from paircomp.protocols import Policy

__all__ = ["build_models", "build_rewards", "train", "training_pairs"]

#: Fields that change no result; a run may be continued with others.
_INCIDENTAL = ("checkpoint_every", "keep", "probe_every", "weights", "layout", "sharding")


def train(
    recipe: RLRecipe, out: Path, *, device: str = "cpu", observers: Sequence[Observer] = (),
    controller: Controller | None = None, reward: Reward | None = None,
) -> Path:  # fmt: skip
    """Train, or continue a run that was broken off; a finished run is left as it is.

    Under torchrun or ``accelerate launch`` each process calls this, and they share the work.

    Args:
        recipe: of the run; ``policy.checkpoint`` must be set.
        out: the run's folder.
        device: where it runs.
        observers: are told of every step.
        controller: keeps the run steady, in place of the recipe's.
        reward: in place of the recipe's.

    Returns:
        the folder of the finished model.

    Raises:
        RunMismatchError: the folder holds a run with other settings.
        RunError: another process trains there, or the run broke off.
    """
    from focusdiff.trainer import Trainer

    processes = open_processes(device=device, precision=recipe.loop.precision, sharding=recipe.loop.sharding)
    folder = RunFolder(out, manifest=reinforced_manifest(recipe), layout=recipe.loop.layout)
    with contextlib.ExitStack() as held, processes.connected(out):
        with processes.apart(out):
            _refuse_idle(recipe, processes)
            threads = 0
            if processes.main:
                held.enter_context(folder.lock())
                threads = folder.claim(_identity(recipe), threads=torch.get_num_threads())
        held.enter_context(processor_threads(processes.gathered(threads)[0]))
        begun = processes.gathered(folder.checkpoints()[-1:])[0]  # as the one sees it that writes them
        with processes.apart(out):
            models = build_models(recipe, begun[0] if begun else None, device)
            pairs, asked = training_pairs(recipe), reward or build_rewards(recipe, device)
        try:
            trainer = Trainer(
                recipe, models, pairs, asked, folder, processes, observers=observers,
                controller=controller or _controller(recipe),
            )  # fmt: skip
            trainer.resume(begun[0] if begun else None)
            trainer.run()
        finally:
            asked.close()
            for observer in observers:
                observer.close()
        processes.close()
    return out / "model"


def _refuse_idle(recipe: RLRecipe, processes: Processes) -> None:
    """Each process needs something to do at every step."""
    if recipe.prompts.pairs < processes.count:
        said = f"pairs: expected at least {processes.count}, one for each process, got {recipe.prompts.pairs}"
        raise ConfigError([f"{said}; next: fewer processes, or --set prompts.pairs={processes.count}"], where="prompts")


def _identity(recipe: RLRecipe) -> dict[str, Any]:
    asked = dataclasses.asdict(recipe)
    for name in _INCIDENTAL:
        del asked["loop"][name]
    del asked["tracking"]
    return {"recipe": asked}


def _policy(recipe: RLRecipe, checkpoint: str, device: str) -> Policy:
    asked = recipe.policy
    return load_policy(asked.name, checkpoint, options=asked.options, device=device, dtype=asked.dtype or None)


def build_models(recipe: RLRecipe, begun: Path | None, device: str) -> Models:
    """What is trained, its adapters, and the model that the run began with, frozen.

    Args:
        recipe: of the run.
        begun: the checkpoint to continue from.
        device: where they run.
    """
    start = recipe.policy.checkpoint
    if recipe.lora.rank:
        policy = _policy(recipe, start, device)
        adapters = Adapters(policy, recipe.lora, seed=recipe.loop.seed, base=start)
        reference = AdapterReference(policy, adapters) if recipe.objective.beta else None
        if begun is not None:
            adapters.read(begun / "adapter")
        return Models(policy, reference, adapters)
    policy = _policy(recipe, start if begun is None else str(begun / "model"), device)
    if recipe.objective.beta == 0:
        return Models(policy, None)
    return Models(policy, (policy if begun is None else _policy(recipe, start, device)).frozen_copy())


def training_pairs(recipe: RLRecipe) -> PairSource:
    """Where the recipe's prompts come from.

    Raises:
        DataError: a file that cannot be read, or that holds nothing.
    """
    from focusdiff.data.pairs import read_pairs, read_prompts
    from focusdiff.file_pairs import FilePairs, FilePrompts
    from focusdiff.shapes_pairs import SHAPES_SOURCES, shapes_pairs

    source, seed = recipe.prompts.source, recipe.loop.seed
    if source in SHAPES_SOURCES:
        return shapes_pairs(source, seed)
    if source.endswith(".txt"):
        return FilePrompts(read_prompts(source), seed)
    pairs = read_pairs(source)
    if not pairs:
        raise DataError(source, ["holds no pair"])
    return FilePairs(pairs, seed)


def build_rewards(recipe: RLRecipe, device: str) -> Reward:
    """The recipe's judges and functions, ready to be asked; see `focusdiff.rewards.building.build_reward`."""
    from focusdiff.rewards.building import build_reward

    return build_reward(recipe.reward, device=device)


def _controller(recipe: RLRecipe) -> Controller | None:
    from focusdiff.steadiness import SteadinessController

    return None if recipe.steadiness.idle else SteadinessController(recipe.steadiness)
