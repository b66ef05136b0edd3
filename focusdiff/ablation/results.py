"""What one (arm, seed) came to, as a small JSON file: all that tables and curves are made of.

Every pair's values are kept, so that intervals over pairs can be computed later, and nothing else of the run need stay.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from paircomp.errors import ConfigError, RunMismatchError
from paircomp.run_store import differences
from paircomp.runtime.files import write_json
from paircomp.scoring import Means, PairValues, macro, subtask_means

__all__ = ["ArmResult", "Measured", "read_results", "result_path", "write_result"]

SCHEMA = "focusdiff-ablation/1"
_DIGITS = 6  # of a pair's values: far below what an interval shows, and a third of the file


@dataclass(frozen=True)
class Measured:
    """The values of all pairs under one sampler and one judge.

    Attributes:
        values: a, g, gap and pass of each pair whose images were all scored.
        samples: K, images per prompt.
        unscored: images without a score.
        reasons: why, with how often.
    """

    values: PairValues
    samples: int
    unscored: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)

    @property
    def average(self) -> Means:
        """The mean of the subtasks' means."""
        return macro(subtask_means(self.values))

    def to_json(self) -> dict[str, Any]:
        """Means for readers, and the pairs they are means of."""
        values = self.values
        subtasks = subtask_means(values)
        return {
            "samples": self.samples, "unscored": self.unscored, "reasons": dict(self.reasons),
            "average": _means(macro(subtasks)),
            "subtasks": {name: _means(means) for name, means in subtasks.items()},
            "pairs": {
                "pair": values.pairs.tolist(), "subtask": list(values.subtasks), "a": _short(values.a),
                "g": _short(values.g), "pass": values.passed.tolist(),
            },
        }  # fmt: skip

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Measured:
        """What :meth:`to_json` wrote; the means are computed again."""
        pairs = said["pairs"]
        a, g = (np.array(pairs[name], np.float64) for name in "ag")
        values = PairValues(
            np.array(pairs["pair"], np.int64), tuple(pairs["subtask"]), tuple(said["subtasks"]),
            a, g, a - g, np.array(pairs["pass"], bool),
        )  # fmt: skip
        return cls(values, said["samples"], said["unscored"], said["reasons"])


def _short(values: Iterable[float]) -> list[float]:
    return [round(float(value), _DIGITS) for value in values]


def _means(means: Means) -> dict[str, Any]:
    shown = {name: getattr(means, name) for name in ("s_a", "s_g", "gap", "full_pass")}
    return {"pairs": means.pairs, **{name: None if np.isnan(value) else value for name, value in shown.items()}}


@dataclass(frozen=True)
class ArmResult:
    """One (arm, seed).

    Attributes:
        arm: its name.
        seed: of training and of the images drawn afterwards.
        setting: what must agree among the results of one table: suite, base, recipe.
        measured: sampler -> judge -> values.
        fidelity: sampler -> how far the pictures are from ones that the world can show.
        training: settings, steps, images, FLOPs, seconds, per-step logs and diagnostics, as the trainer told them.
        curve: measurements during training: ``{"step", "images", "s_a", "s_g", "gap", "full_pass"}``.
        surroundings: versions, machine, date, seconds of the evaluation.
    """

    arm: str
    seed: int
    setting: Mapping[str, Any]
    measured: Mapping[str, Mapping[str, Measured]]
    fidelity: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    curve: Sequence[Mapping[str, float]] = ()
    surroundings: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The file's content."""
        samplers = {
            sampler: {"judges": {judge: measured.to_json() for judge, measured in judges.items()},
                      "fidelity": dict(self.fidelity.get(sampler, {}))}
            for sampler, judges in self.measured.items()
        }  # fmt: skip
        return {"schema": SCHEMA, "arm": self.arm, "seed": self.seed, "setting": dict(self.setting),
                "samplers": samplers, "training": dict(self.training), "curve": [dict(row) for row in self.curve],
                "surroundings": dict(self.surroundings)}  # fmt: skip

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> ArmResult:
        """What :meth:`to_json` wrote."""
        samplers = said["samplers"]
        measured = {
            sampler: {judge: Measured.from_json(each) for judge, each in held["judges"].items()}
            for sampler, held in samplers.items()
        }
        fidelity = {sampler: held["fidelity"] for sampler, held in samplers.items()}
        return cls(said["arm"], said["seed"], said["setting"], measured, fidelity, said["training"], said["curve"],
                   said["surroundings"])  # fmt: skip


def result_path(folder: Path, arm: str, seed: int) -> Path:
    """Where the result of one (arm, seed) lies."""
    return folder / "results" / f"{arm}--seed{seed}.json"


def write_result(folder: Path, result: ArmResult) -> Path:
    """Write one result; readers see all of it or nothing."""
    path = result_path(folder, result.arm, result.seed)
    write_json(path, result.to_json())
    return path


def read_results(folder: Path) -> list[ArmResult]:
    """Every result in a folder, by arm and seed.

    Raises:
        ConfigError: files that are no results; all are named.
        RunMismatchError: results that were made with other settings than the first one.
    """
    found, faults = [], []
    for path in sorted((folder / "results").glob("*.json")):
        try:
            found.append(_read(path))
        except (OSError, ValueError, KeyError, TypeError) as error:
            faults.append(f"{path.name}: expected {SCHEMA}, got {type(error).__name__}: {error}")
    if faults:
        raise ConfigError([*faults, "next: move them elsewhere"], where=f"results in {folder}")
    for result in found[1:]:
        refuse_other_setting(folder, found[0].setting, result.setting)
    return found


def _read(path: Path) -> ArmResult:
    said = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(said, dict) or said.get("schema") != SCHEMA:
        raise ValueError(f"schema {said.get('schema')!r}" if isinstance(said, dict) else type(said).__name__)
    return ArmResult.from_json(said)


def refuse_other_setting(folder: Path, stored: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Results of other settings belong into another folder.

    Raises:
        RunMismatchError: names every setting that differs.
    """
    if changed := differences(stored, given):
        raise RunMismatchError(folder, changed)
