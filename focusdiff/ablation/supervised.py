"""Supervised arms: more of the base's own noisy data, or the pairs of the reinforcement-learning arms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from focusdiff.ablation.arms import Arm
from focusdiff.ablation.curve_taking import Curve
from focusdiff.recipe import RLRecipe
from paircomp.errors import ConfigError

__all__ = ["train_supervised"]


def train_supervised(arm: Arm, recipe: RLRecipe, folder: Path, curve: Curve) -> tuple[Path, dict[str, Any]]:
    """Not there yet."""
    raise ConfigError([f"arm {arm.name!r}: supervised training is not there yet"], where="ablate")
