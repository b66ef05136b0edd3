"""One (arm, seed) in a process of its own: ``python -m focusdiff.ablation.worker JOB.json``.

A process of its own keeps one thread for each training, gives its memory back, and takes nothing else down with it.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from focusdiff.ablation.arms import Arm, arm_named
from focusdiff.ablation.measuring import SAMPLERS, MeasuredSampler, measure, sampler_settings
from focusdiff.ablation.results import ArmResult, result_path, write_result
from focusdiff.recipe_reading import shipped_recipes
from paircomp.errors import PairCompError
from paircomp.evaluation import resolve_model
from paircomp.plugins import Registry
from paircomp.runtime.checkpoints import checkpoint_folder
from paircomp.runtime.files import StepLock
from paircomp.runtime.machine import package_versions, this_machine
from paircomp.suites import load_suite
from paircomp.types import ModelSpec

__all__ = ["ArmTrainer", "Job", "TrainedArm", "do_job", "main", "run_arm"]


@dataclass(frozen=True)
class Job:
    """What all (arm, seed) of one ablation share.

    Attributes:
        out: folder of the ablation.
        base: model that training starts from, a name of the catalogue.
        recipe: name or file of the recipe of the RL arms.
        suite: that results are read on; choices are made on ``shapes-dev``.
        samplers: names, see `measuring.SAMPLERS`.
        judges: of the results; the first is shown first.
        limit: at most so many pairs of the suite, for a quick look.
        steps: of training instead of the recipe's, for a quick look.
        settings: values of the recipe by ``section.key`` that all RL arms share, for other conditions.
    """

    out: Path
    base: str = "janus-tiny"
    recipe: str = "shapes"
    suite: str = "shapes-dev"
    samplers: tuple[str, ...] = tuple(SAMPLERS)
    judges: tuple[str, ...] = ("pixels",)
    limit: int | None = None
    steps: int | None = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**dataclasses.asdict(self), "out": str(self.out)}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Job:
        """What :meth:`to_json` gave."""
        return cls(**{**said, "out": Path(said["out"]), "samplers": tuple(said["samplers"]),
                      "judges": tuple(said["judges"])})  # fmt: skip

    def base_spec(self) -> ModelSpec:
        """The model that training starts from: one of the catalogue, or a folder of Janus weights."""
        if Path(self.base).is_dir():
            return ModelSpec(Path(self.base).name, "janus", checkpoint=self.base, suite=self.suite)
        return resolve_model(Registry(), model=self.base)

    def setting(self) -> dict[str, Any]:
        """What must agree among the results of one folder."""
        suite = load_suite(Registry(), self.suite)
        spec = self.base_spec()
        return {
            "suite": {"name": suite.name, "digest": suite.digest, "limit": self.limit},
            "base": {"model": spec.name, "weights": _weights(spec)},
            "recipe": {"name": self.recipe, "steps": self.steps, "values": dict(self.settings), **_digest(self.recipe)},
            "judges": list(self.judges), "samplers": sampler_settings([SAMPLERS[name] for name in self.samplers]),
        }  # fmt: skip


def _digest(recipe: str) -> dict[str, str]:
    """Of a recipe of the user's own, which may be edited between two calls; one that ships is known by its name."""
    if recipe in shipped_recipes("rl") or not Path(recipe).is_file():
        return {}
    return {"digest": hashlib.sha256(Path(recipe).read_bytes()).hexdigest()[:16]}


def _weights(spec: ModelSpec) -> str | None:
    """Digest of a checkpoint's weights; ``None`` where there are none."""
    if spec.checkpoint is None:
        return None
    folder = checkpoint_folder(spec.checkpoint, revision=spec.revision, what=f"model {spec.name!r}")
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class TrainedArm:
    """What training one arm left.

    Attributes:
        checkpoint: folder that the base's adapter loads; ``None`` is the base itself.
        said: settings, steps, images, FLOPs, seconds, logs and diagnostics, as JSON values.
        curve: measurements during training.
    """

    checkpoint: Path | None = None
    said: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    curve: Sequence[Mapping[str, float]] = ()


class ArmTrainer(Protocol):
    """Trains one arm."""

    def __call__(self, arm: Arm, seed: int, job: Job, folder: Path) -> TrainedArm:
        """Train in `folder`, which is this call's own and is removed once the result is written."""
        ...


def run_arm(arm: Arm, seed: int, job: Job, *, train: ArmTrainer) -> ArmResult:
    """Train one arm and measure what came out.

    Args:
        arm: which.
        seed: of training and of the images drawn afterwards.
        job: what all arms share.
        train: trains it, and looks into the base.

    Raises:
        PairCompError: whatever stands in the way, in one line.
    """
    folder = _work_folder(job.out, arm.name, seed)
    began, cpu = time.monotonic(), time.process_time()
    trained = train(arm, seed, job, folder)
    ended, cpu_ended = time.monotonic(), time.process_time()
    spec = job.base_spec()
    if trained.checkpoint is not None:
        spec = spec.overridden(checkpoint=str(trained.checkpoint))
    measured = _measure_all(spec, seed, job, folder)
    surroundings = _surroundings() | {
        "training_seconds": ended - began, "training_cpu_seconds": cpu_ended - cpu,
        "measuring_seconds": time.monotonic() - ended,
    }  # fmt: skip
    return ArmResult(
        arm.name, seed, job.setting(), {name: each.judges for name, each in measured.items()},
        {name: each.fidelity.to_json() for name, each in measured.items() if each.fidelity}, trained.said,
        trained.curve, surroundings,
    )  # fmt: skip


def _measure_all(spec: ModelSpec, seed: int, job: Job, folder: Path) -> dict[str, MeasuredSampler]:
    registry = Registry()
    suite = load_suite(registry, job.suite)
    return {
        name: measure(spec, suite, SAMPLERS[name], judges=job.judges, seed=seed, scratch=folder / f"run-{name}",
                      limit=job.limit, registry=registry)
        for name in job.samplers
    }  # fmt: skip


def _surroundings() -> dict[str, Any]:
    versions = package_versions(("paircomp", "torch", "transformers", "numpy", "accelerate"))
    date = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    return {"versions": versions, "machine": this_machine().to_json(), "date": date}


def do_job(arm: str, seed: int, job: Job, *, train: ArmTrainer) -> Path:
    """Run one (arm, seed) unless its result is there already; two processes never do the same.

    Returns:
        The result's file.

    Raises:
        RunError: another process is at it.
    """
    path = result_path(job.out, arm, seed)
    with StepLock(job.out / "locks" / f"{arm}--seed{seed}.lock", step=f"{arm} seed {seed}"):
        if not path.is_file():
            write_result(job.out, run_arm(arm_named(arm), seed, job, train=train))
            shutil.rmtree(_work_folder(job.out, arm, seed), ignore_errors=True)
    return path


def _work_folder(out: Path, arm: str, seed: int) -> Path:
    return out / "work" / f"{arm}--seed{seed}"


def main(arguments: Sequence[str]) -> int:
    """Do what a job file says: ``{"arm", "seed", "job"}``; a fault is one line on stderr."""
    import torch

    from focusdiff.ablation.training import train_arm

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    said = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    try:
        do_job(said["arm"], said["seed"], Job.from_json(said["job"]), train=train_arm)
    except PairCompError as error:
        sys.stderr.write(f"Error: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
