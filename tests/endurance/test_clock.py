"""The system's clock is wrong, or jumps while a run is under way: nothing of the result hangs on it."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from paircomp.cli import run as paircomp
from tests.endurance.disturbances import equal_runs

COMMAND = ["eval", "--model", "sketch", "--judge", "pixels", "--limit", "24", "--device", "cpu"]
IMAGES = 96

pytestmark = pytest.mark.skipif(
    shutil.which("faketime") is None, reason="needs Debian's faketime (apt-get install faketime)"
)


def library() -> str:
    """The library that `faketime` preloads, as it names it itself."""
    said = subprocess.check_output(["faketime", "now", "env"], text=True)
    return next(line.partition("=")[2] for line in said.splitlines() if line.startswith("LD_PRELOAD="))


class WrongClock:
    """Programs that read their clock from a file; the monotonic one, which no jump of a real clock moves, is left."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self._environment = {
            **os.environ, "LD_PRELOAD": library(), "FAKETIME_TIMESTAMP_FILE": str(self._file), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "OMP_NUM_THREADS": "1",
        }  # fmt: skip

    def set(self, to: str) -> None:
        self._file.with_suffix(".new").write_text(to)
        self._file.with_suffix(".new").replace(self._file)

    def run(self, out: Path, *, meanwhile: Callable[[], None] = lambda: None) -> None:
        command = [sys.executable, "-m", "paircomp", *COMMAND, "--out", str(out)]
        with subprocess.Popen(
            command, env=self._environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
        ) as eval_:
            while eval_.poll() is None:
                meanwhile()
                time.sleep(0.02)
            said = eval_.stderr.read().decode() if eval_.stderr else ""
        assert eval_.returncode == 0, said
        assert "Traceback" not in said


def test_jumps_of_the_clock_change_nothing(tmp_path: Path) -> None:
    assert paircomp([*COMMAND, "--out", str(tmp_path / "undisturbed")]) == 0
    clock = WrongClock(tmp_path)
    times = ["@2001-02-03 04:05:06", "+0", "@2039-01-01 00:00:00", "-3y", "@1971-01-01 00:00:00", "+90d"]
    clock.set("+0")
    turns = itertools.cycle(times)
    clock.run(tmp_path / "jumping", meanwhile=lambda: clock.set(next(turns)))
    equal_runs(tmp_path / "jumping", tmp_path / "undisturbed", images=IMAGES)


@pytest.mark.parametrize(
    "moment", ["@1970-01-02 00:00:00", pytest.param("@2100-01-01 00:00:00", marks=pytest.mark.slow)]
)
def test_a_run_is_resumed_by_a_machine_with_a_wrong_clock(tmp_path: Path, moment: str) -> None:
    half, whole = tmp_path / "half", tmp_path / "undisturbed"
    assert paircomp([*COMMAND, "--out", str(whole)]) == 0
    clock = WrongClock(tmp_path)
    clock.set(moment)
    subset = shutil.copytree(whole, half, ignore=shutil.ignore_patterns("report.*", "pairs.csv", "judges", "1?_*.png"))
    clock.run(subset)
    equal_runs(half, whole, images=IMAGES)
