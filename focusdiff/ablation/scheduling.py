"""Running several (arm, seed) at a time, each in a process of its own; what is done already is not done again."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import click

from focusdiff.ablation.arms import ARMS, BASE, arm_named
from focusdiff.ablation.results import read_results, refuse_other_setting, result_path
from focusdiff.ablation.worker import Job
from paircomp.runtime.files import write_json

__all__ = ["Announced", "Outcome", "open_work", "run_all"]

_LOOK_SECONDS = 0.2
_STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Outcome:
    """What became of one (arm, seed).

    Attributes:
        arm: its name.
        seed: of training.
        seconds: wall time.
        fault: the process's last line where it failed; ``None`` where the result is there.
    """

    arm: str
    seed: int
    seconds: float
    fault: str | None = None


def open_work(job: Job, wanted: Mapping[str, int]) -> list[tuple[str, int]]:
    """The (arm, seed) that have no result yet: the first seed of all arms, then the next, so that tables fill evenly.

    Args:
        job: what all share; results of other settings in its folder are refused.
        wanted: arm -> so many seeds, from 0; the base is always measured, with as many as any arm.

    Raises:
        UnknownNameError: no such arm.
        RunMismatchError: the folder holds results of other settings.
        ConfigError: the folder holds files that are no results.
    """
    seeds = {arm_named(name).name: count for name, count in wanted.items()}
    seeds[BASE] = max(seeds.values(), default=0)
    found = read_results(job.out)
    if found:
        refuse_other_setting(job.out, found[0].setting, job.setting())
    done = {(result.arm, result.seed) for result in found}
    every = ((arm, seed) for seed in range(seeds[BASE]) for arm in ARMS if seed < seeds.get(arm, 0))
    return [each for each in every if each not in done]


class Announced:
    """A line on stderr for each (arm, seed) that ended.

    Args:
        total: how many there are to do.
    """

    def __init__(self, total: int) -> None:
        self._total, self._done = total, 0

    def __call__(self, outcome: Outcome) -> None:
        """Say what became of one."""
        self._done += 1
        said = f"failed: {outcome.fault}" if outcome.fault else "done"
        place = f"{self._done}/{self._total}"
        click.echo(f"{place} {outcome.arm} seed {outcome.seed}: {said}, {outcome.seconds:.0f} s", err=True)


def run_all(
    job: Job,
    work: Sequence[tuple[str, int]],
    *,
    jobs: int = 1,
    heard: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """Do all of `work`, `jobs` at a time; one that fails does not stop the others.

    Ending this early (Ctrl-C) ends the processes; what was finished is kept.

    Args:
        job: what all share.
        work: (arm, seed).
        jobs: processes at a time, one thread each.
        heard: told of each that ended.
    """
    waiting, running, ended = list(work), list[_Running](), list[Outcome]()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(_Running(job, *waiting.pop(0)))
            for process in list(running):
                if (outcome := process.outcome()) is not None:
                    running.remove(process)
                    ended.append(outcome)
                    heard(outcome)
            time.sleep(_LOOK_SECONDS)
    finally:
        for process in running:
            process.stop()
    return ended


class _Running:
    """One process at work."""

    def __init__(self, job: Job, arm: str, seed: int) -> None:
        self._path, self._arm, self._seed = result_path(job.out, arm, seed), arm, seed
        name = f"{arm}--seed{seed}"
        order, self._log = job.out / "work" / f"{name}.json", job.out / "logs" / f"{name}.log"
        write_json(order, {"arm": arm, "seed": seed, "job": job.to_json()})
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._began = time.monotonic()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", "focusdiff.ablation.worker", str(order)],
                stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=_one_thread(),
            )  # fmt: skip

    def outcome(self) -> Outcome | None:
        """What became of it; ``None`` while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        seconds = time.monotonic() - self._began
        if code == 0 and self._path.is_file():
            return Outcome(self._arm, self._seed, seconds)
        return Outcome(self._arm, self._seed, seconds, f"{self._last_line()} (exit code {code}; {self._log})")

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _last_line(self) -> str:
        with contextlib.suppress(OSError):
            lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            if lines:
                return lines[-1].removeprefix("Error: ")
        return "it said nothing"


def _one_thread() -> dict[str, str]:
    """The environment of a worker: one thread, and none that spins while it waits for the other's core."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE",
            "TOKENIZERS_PARALLELISM": "false"}  # fmt: skip
