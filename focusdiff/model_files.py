"""What lies beside trained weights: ``training.json``, which says what made them, and a card for people.

The manifest names the judge whose score was the reward: evaluations read it and ask the suite's held-out judge too
(`paircomp.runtime.training_manifest`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paircomp.runtime.files import write_atomically, write_json
from paircomp.runtime.training_manifest import TRAINING_MANIFEST

if TYPE_CHECKING:
    from focusdiff.recipe import RLRecipe
    from focusdiff.sft_recipe import SftRecipe

__all__ = ["reinforced_manifest", "supervised_manifest", "write_model_files"]

_SCHEMA = "focusdiff-training/1"


def supervised_manifest(recipe: SftRecipe, checkpoint: str) -> dict[str, Any]:
    """What supervised training says of its weights. No judge's score made them, so it names none."""
    return {
        "schema": _SCHEMA,
        "method": "sft",
        "trained_with_judge": None,
        "start": recipe.start.model or checkpoint,
        "recipe": _recipe_of(recipe),
    }


def reinforced_manifest(recipe: RLRecipe) -> dict[str, Any]:
    """What reinforcement learning says of its weights."""
    return {
        "schema": _SCHEMA,
        "method": "rl",
        "trained_with_judge": recipe.reward.judge,
        "start": recipe.policy.checkpoint,
        "recipe": _recipe_of(recipe),
    }


def _recipe_of(recipe: SftRecipe | RLRecipe) -> dict[str, Any]:
    """What made the weights: all sections but that of the onlookers."""
    return {name: section for name, section in asdict(recipe).items() if name != "tracking"}


def write_model_files(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write ``training.json`` and ``README.md`` beside the weights in `folder`."""
    # TOML knows tuples as lists; so does JSON.
    write_json(folder / TRAINING_MANIFEST, json.loads(json.dumps(manifest)))
    write_atomically(folder / "README.md", _card(manifest).encode())


def _card(manifest: Mapping[str, Any]) -> str:
    judge = manifest["trained_with_judge"]
    method = {"sft": "supervised fine-tuning", "rl": "reinforcement learning"}[manifest["method"]]
    reward = (
        f"The score of the judge `{judge}` was its reward: look at what another judge says of it, too."
        if judge
        else "No judge's score was used."
    )
    return (
        f"# A model trained by FocusDiff\n\nMade by {method} (`focusdiff {manifest['method']}`) from "
        f"`{manifest['start'] or 'its own start'}`. {reward}\n\nEvery setting, seeds included, stands in "
        f"`{TRAINING_MANIFEST}` under `recipe`; its fields are documented with unit and source in `focusdiff`.\n\n"
        "The licence of the weights it started from goes on to apply.\n"
    )
