"""Training one arm: what of the recipe it changes, and what of the training it keeps."""

from __future__ import annotations

from pathlib import Path

from focusdiff.ablation.arms import Arm
from focusdiff.ablation.worker import Job, TrainedArm
from paircomp.errors import UnavailableError

__all__ = ["train_arm"]


def train_arm(arm: Arm, seed: int, job: Job, folder: Path) -> TrainedArm:
    """Train one arm in `folder`; an `ArmTrainer`."""
    raise UnavailableError(f"arm {arm.name!r}", package="the trainer", remedy="a later version")
