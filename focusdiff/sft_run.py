"""One supervised training in one folder: from the recipe to a checkpoint that can be evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from focusdiff.examples import DRAWN, open_examples
from focusdiff.model_files import supervised_manifest, write_model_files
from focusdiff.policies import load_policy
from focusdiff.sft import Encode, train
from focusdiff.sft_recipe import SftRecipe
from focusdiff.threads import processor_threads
from paircomp.runtime.checkpoints import torch_dtype
from paircomp.runtime.files import StepLock

if TYPE_CHECKING:
    from focusdiff.observers.trackers import Trackers

__all__ = ["run_sft"]

_MODEL, _START = "model", "start"


def run_sft(recipe: SftRecipe, folder: Path, *, device: str = "cpu") -> Path:
    """Train as the recipe says; a run that was interrupted continues, a finished one is left as it is.

    Args:
        recipe: what to do.
        folder: ``start`` (weights made from nothing), ``state.pt``, ``metrics.jsonl`` and, last, ``model``.
        device: where it runs.

    Returns:
        the folder of the checkpoint.

    Raises:
        ConfigError: the recipe names what is not there.
        RunError: another process trains in the folder, or it holds another training.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (
        StepLock(folder / "locks" / "sft", step="sft"),
        processor_threads(recipe.run.threads),
        _trackers(recipe, folder) as trackers,
    ):
        checkpoint = _begun(recipe, folder)
        policy = load_policy(
            recipe.policy.name, checkpoint, options=recipe.policy.options, device=device,
            dtype=recipe.policy.dtype or None,
        )  # fmt: skip
        train(
            policy, open_examples(recipe.examples), recipe.training, folder,
            checkpoint_every=recipe.run.checkpoint_every, encode=_known_tokens(recipe),
            tell=trackers.send if trackers else None,
        )  # fmt: skip
        if recipe.run.weights:
            policy.module.to(torch_dtype(recipe.run.weights))
        policy.save(folder / _MODEL)
        write_model_files(folder / _MODEL, supervised_manifest(recipe, checkpoint))
    return folder / _MODEL


@contextmanager
def _trackers(recipe: SftRecipe, folder: Path) -> Iterator[Trackers | None]:
    """The trackers that the recipe names, opened before anything is trained and closed in any case."""
    asked = recipe.tracking
    if not asked.trackers:
        yield None
        return
    from focusdiff.observers.trackers import Trackers

    with closing(Trackers(asked.trackers, project=asked.project, run=folder)) as trackers:
        yield trackers


def _begun(recipe: SftRecipe, folder: Path) -> str:
    """The checkpoint that training starts from."""
    if not recipe.start.model:
        return recipe.policy.checkpoint
    from focusdiff.janus_tiny.building import begin_checkpoint

    begin_checkpoint(folder / _START, seed=recipe.start.seed, plan=recipe.start.image_tokenizer)
    return str(folder / _START)


def _known_tokens(recipe: SftRecipe) -> Encode | None:
    """The tokens that an image tokenizer made here was fitted to: those of drawn pictures need not be found."""
    if recipe.start.model != "janus-tiny" or recipe.examples.source not in DRAWN:
        return None
    from focusdiff.janus_tiny.image_tokens import PatchCodes

    return PatchCodes().encode
