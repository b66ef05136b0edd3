"""`eval` is killed with SIGKILL at 50 random moments; the report at the end equals an undisturbed run's to the byte."""

import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

from paircomp.cli import run as paircomp

KILLS = 50
COMMAND = ["eval", "--model", "sketch", "--limit", "120", "--device", "cpu"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork, which starts a child without new imports")
def test_fifty_kills_change_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert paircomp([*COMMAND, "--out", str(tmp_path / "undisturbed")]) == 0
    disturbed = tmp_path / "disturbed"
    moments = random.Random(7)
    killed = 0
    while killed < KILLS:
        child = os.fork()
        if child == 0:
            os._exit(paircomp([*COMMAND, "--out", str(disturbed)]))
        time.sleep(moments.uniform(0.0, 0.12))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):  # finished before the signal: start over, the point is to be killed
            assert os.WEXITSTATUS(status) == 0, capfd.readouterr().err
            for file in sorted(disturbed.rglob("*"), key=lambda path: -len(path.parts)):
                file.rmdir() if file.is_dir() else file.unlink()
        killed += os.WIFSIGNALED(status)
    assert paircomp([*COMMAND, "--out", str(disturbed)]) == 0
    for name in ("report.json", "report.csv", "pairs.csv", "report.md", "report.html"):
        assert (disturbed / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes(), name
    images = {path.name: path.read_bytes() for path in (disturbed / "images").glob("*.png")}
    assert images == {path.name: path.read_bytes() for path in (tmp_path / "undisturbed" / "images").glob("*.png")}
    assert len(images) == 480
