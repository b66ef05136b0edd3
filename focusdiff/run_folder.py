"""The folder of a training run: what it was asked for, its numbers step by step, its checkpoints.

::

    run.json                 what was asked for; must match to continue
    metrics.jsonl            one line per step
    events.jsonl             one line per event
    checkpoints/000035/      model/ (in the recipe's layout), trainer.pt, state.json; adapter/ where one is trained
    model/                   the policy after the last step

A checkpoint appears whole or not at all: it is written beside its place and renamed. A run that continues drops the
lines of steps behind its checkpoint and writes them again.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from focusdiff.model_files import write_model_files
from paircomp.errors import RunError, RunMismatchError
from paircomp.runtime.checkpoints import torch_dtype
from paircomp.runtime.files import StepLock, sync_files, write_atomically, write_json

if TYPE_CHECKING:
    from torch import Tensor

    from focusdiff.lora import Adapters
    from paircomp.protocols import Policy

__all__ = ["RunFolder", "TrainerState"]

_SCHEMA = "focusdiff-run/1"
_DIGITS = 6


@dataclass
class TrainerState:
    """What a run continues from, beside weights.

    Attributes:
        step: finished steps.
        learning_rate_scale: of the controller.
        reference_moved: whether the reference is no longer the model that the run began with.
        controller: what it remembers.
    """

    step: int = 0
    learning_rate_scale: float = 1.0
    reference_moved: bool = False
    controller: dict[str, Any] = field(default_factory=dict)


class RunFolder:
    """The folder of one run.

    Args:
        path: made when absent.
        manifest: what ``training.json`` says beside each written policy; ``None`` writes none.
        layout: in which policies are written; their own default when empty.
    """

    def __init__(self, path: Path, *, manifest: Mapping[str, Any] | None = None, layout: str = "") -> None:
        self.path = path
        self._layout = layout
        self._manifest = manifest
        self._checkpoints = path / "checkpoints"

    def lock(self) -> StepLock:
        """Hold it while training: two trainers on one folder would write over each other."""
        return StepLock(self.path / "locks" / "training.lock", step="training")

    def claim(self, identity: Mapping[str, Any], *, threads: int) -> int:
        """Begin the run, or make sure that it is the one that was begun.

        Args:
            identity: what it was asked for.
            threads: of the processor, noted when the run begins.

        Returns:
            the threads that it began with: with others it would not continue to the bit.

        Raises:
            RunMismatchError: it was begun with other settings; names each.
            RunError: the folder holds something else.
        """
        asked = json.loads(json.dumps({"schema": _SCHEMA, **identity}))
        file = self.path / "run.json"
        if not file.exists():
            write_json(file, {**asked, "threads": threads})
            return threads
        try:
            stored = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(file, f"not readable ({error}); next: choose another --out folder") from error
        begun = int(stored.pop("threads", threads))
        if differences := list(_differences(stored, asked, "")):
            raise RunMismatchError(self.path, differences)
        return begun

    def checkpoints(self) -> list[Path]:
        """Whole checkpoints, oldest first."""
        return sorted(path for path in self._checkpoints.glob("[0-9]*") if (path / "state.json").is_file())

    def read_state(self, checkpoint: Path) -> TrainerState:
        """The state of a checkpoint.

        Raises:
            RunError: it cannot be read.
        """
        try:
            return TrainerState(**json.loads((checkpoint / "state.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise RunError(
                checkpoint, f"not readable ({error}); next: delete it to go on from the one before"
            ) from error

    def write_checkpoint(
        self, policy: Policy, state: TrainerState, tensors: Mapping[str, Any], *, keep: int,
        weights: Mapping[str, Tensor] | None = None, adapters: Adapters | None = None,
    ) -> Path:  # fmt: skip
        """Write a checkpoint, then drop the oldest.

        Args:
            policy: saved in its own layout.
            state: of this moment.
            tensors: what `torch.save` takes: the optimiser's state, a moved reference.
            keep: newest checkpoints that stay.
            weights: of the policy, where its module does not hold them whole.
            adapters: written beside them, where they are what trains.
        """
        import torch

        place = self._checkpoints / f"{state.step:0{_DIGITS}d}"
        beside = self._beside(place)
        self._save(policy, beside / "model", weights)
        if adapters is not None:
            adapters.write(beside / "adapter")
        torch.save(dict(tensors), beside / "trainer.pt")
        write_json(beside / "state.json", vars(state))
        self._put(beside, place)
        for old in self.checkpoints()[:-keep]:
            shutil.rmtree(old)
        return place

    def write_model(self, policy: Policy, *, dtype: str = "", weights: Mapping[str, Tensor] | None = None) -> Path:
        """Write the finished model.

        Args:
            policy: saved in its own layout.
            dtype: number format, its own when empty; a policy without other `weights` then has that, too.
            weights: as for :meth:`write_checkpoint`.
        """
        place = self.path / "model"
        beside = self._beside(place)
        if dtype and weights is None:
            policy.module.to(torch_dtype(dtype))
        elif dtype:
            weights = {name: each.to(torch_dtype(dtype)) if each.is_floating_point() else each
                       for name, each in (weights or {}).items()}  # fmt: skip
        self._save(policy, beside, weights)
        self._put(beside, place)
        return place

    def _save(self, policy: Policy, folder: Path, weights: Mapping[str, Tensor] | None) -> None:
        asked: dict[str, Any] = {"layout": self._layout} if self._layout else {}
        if weights is not None:
            asked["weights"] = weights
        policy.save(folder, **asked)
        if self._manifest is not None:
            write_model_files(folder, self._manifest)

    def _beside(self, place: Path) -> Path:
        beside = place.with_name(f".{place.name}.tmp")
        shutil.rmtree(beside, ignore_errors=True)  # what a killed run left
        beside.mkdir(parents=True)
        return beside

    def _put(self, beside: Path, place: Path) -> None:
        sync_files([path for path in beside.rglob("*") if path.is_file()])
        if place.exists():
            shutil.rmtree(place)
        os.replace(beside, place)

    def append(self, name: str, line: Mapping[str, Any]) -> None:
        """Add a line to ``metrics.jsonl`` or ``events.jsonl``; NaN and infinity become null."""
        plain = {key: None if isinstance(value, float) and not math.isfinite(value) else value
                 for key, value in line.items()}  # fmt: skip
        with (self.path / f"{name}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(plain, allow_nan=False) + "\n")

    def forget_from(self, step: int) -> None:
        """Drop metrics and events of `step` and later ones, and lines that a kill cut in half.

        That the run was taken up is remembered, however often.
        """
        for name in ("metrics", "events"):
            file = self.path / f"{name}.jsonl"
            if file.exists():
                said = ((line, json.loads(line)) for line in _whole_lines(file))
                kept = [line for line, each in said if each["step"] < step or each.get("kind") == "resumed"]
                write_atomically(file, "".join(f"{line}\n" for line in kept).encode())


def _whole_lines(file: Path) -> Iterator[str]:
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            json.loads(line)
        except ValueError:
            continue
        yield line


def _differences(stored: Any, asked: Any, place: str) -> Iterator[tuple[str, object, object]]:
    if isinstance(stored, dict) and isinstance(asked, dict):
        for key in {**stored, **asked}:
            yield from _differences(stored.get(key), asked.get(key), f"{place}.{key}" if place else key)
    elif stored != asked:
        yield place, stored, asked
