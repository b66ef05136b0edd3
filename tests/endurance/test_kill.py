"""`eval` is killed with SIGKILL at random moments; the report at the end equals an undisturbed run's to the byte."""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from paircomp.cli import run as paircomp
from tests.endurance.disturbances import cleared, ended, equal_runs, killed_after, started, step_of

COMMAND = ["eval", "--model", "sketch", "--judge", "pixels", "--limit", "60", "--device", "cpu"]
IMAGES, JUDGEMENTS = 240, 480
SPANS = (0.12, 0.5)  # of an undisturbed run's time: short ones cut the steps into pieces, long ones reach the report
AFRESH = 0.02  # how often a run is begun anew, so that its first steps are met too


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork, which starts a child without new imports")
@pytest.mark.parametrize(
    "kills", [15, pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])], ids=["short", "long"]
)
def test_kills_change_nothing(tmp_path: Path, kills: int, capsys: pytest.CaptureFixture[str]) -> None:
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    assert paircomp([*COMMAND, "--out", str(tmp_path / "warm")]) == 0  # so that children need not import anything
    began = time.monotonic()
    assert ended(started([*COMMAND, "--out", str(undisturbed)])) == 0
    whole = time.monotonic() - began
    moments = random.Random(7)
    met: Counter[str] = Counter()
    finished = 0
    while met.total() < kills:
        if moments.random() < AFRESH:
            cleared(disturbed)
        child = started([*COMMAND, "--out", str(disturbed)])
        if killed_after(child, whole * moments.uniform(0.0, moments.choice(SPANS))):
            met[step_of(disturbed, images=IMAGES, judgements=JUDGEMENTS)] += 1
        else:  # finished before the signal: start over, the point is to be killed
            equal_runs(disturbed, undisturbed, images=IMAGES)
            cleared(disturbed)
            finished += 1
    assert ended(started([*COMMAND, "--out", str(disturbed)])) == 0
    equal_runs(disturbed, undisturbed, images=IMAGES)
    with capsys.disabled():
        print(f" {kills} kills: {dict(met)}, finished between them {finished} times", end="")
    assert len(met) >= 2, met
