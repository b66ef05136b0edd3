"""Several evaluations on one folder at once: each ends well or says who is at it, and the run is sound."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from paircomp.cli import run as paircomp
from tests.endurance.disturbances import ended, equal_runs, started

COMMAND = ["eval", "--model", "sketch", "--judge", "pixels", "--limit", "12", "--device", "cpu"]
IMAGES = 48

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork, which starts children at once")


def test_evaluations_of_one_folder_never_spoil_each_other(tmp_path: Path) -> None:
    whole, shared = tmp_path / "undisturbed", tmp_path / "shared"
    assert paircomp([*COMMAND, "--out", str(whole)]) == 0
    for attempt in range(20):
        logs = [tmp_path / f"{attempt}-{number}.txt" for number in range(3)]
        children = [started([*COMMAND, "--out", str(shared)], said=log) for log in logs]
        codes = [ended(child) for child in children]
        for code, log in zip(codes, logs, strict=True):
            said = log.read_text()
            assert "Traceback" not in said
            if code:
                assert code == 1
                assert "is already being done by" in said.splitlines()[-1], said
                assert "next: wait for it to end" in said
        assert 0 in codes, "somebody gets through"
        if codes == [0, 0, 0]:
            break
    else:
        pytest.fail("a finished run needs no lock for long")
    equal_runs(shared, whole, images=IMAGES)


def test_another_model_on_the_same_folder_is_told_so(tmp_path: Path) -> None:
    shared, logs = tmp_path / "shared", [tmp_path / "one.txt", tmp_path / "other.txt"]
    options = ["mistakes=0.25", "mistakes=0.5"]
    children = [
        started([*COMMAND, "-o", option, "--out", str(shared)], said=log)
        for option, log in zip(options, logs, strict=True)
    ]
    codes = [ended(child) for child in children]
    assert sorted(codes) == [0, 1]
    lost = codes.index(1)
    said = logs[lost].read_text().splitlines()[-1]
    assert "this run was made with other settings" in said or "is already being done by" in said, said
    winner = ["eval", *COMMAND[1:], "-o", options[1 - lost], "--out"]
    assert paircomp([*winner, str(shared)]) == 0
    assert paircomp([*winner, str(tmp_path / "alone")]) == 0
    equal_runs(shared, tmp_path / "alone", images=IMAGES)
