"""A build is killed with SIGKILL at random moments; the data at the end equals an unbroken build's to the byte."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.focusdiff.data.test_building import contents

BUILD = [sys.executable, "-c", "from focusdiff.commands import main; main()", "data", "build", "--source", "shapes",
         "-o", "source.records=300", "--guard", "shapes", "--out"]  # fmt: skip


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["alone", "workers"])
@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)], ids=["short", "long"])
def test_kills_change_nothing(tmp_path: Path, kills: int, options: tuple[str, ...]) -> None:
    began = time.monotonic()
    subprocess.run([*BUILD, tmp_path / "whole", *options], check=True, capture_output=True)
    whole = time.monotonic() - began
    moments, killed = random.Random(3), 0
    while killed < kills:
        child = subprocess.Popen(
            [*BUILD, tmp_path / "killed", *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            child.wait(timeout=whole * moments.uniform(0.3, 0.9))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            killed += 1
    subprocess.run([*BUILD, tmp_path / "killed", *options], check=True, capture_output=True)

    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
