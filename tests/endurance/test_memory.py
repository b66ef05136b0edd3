"""Memory stays flat however long a run is: what a step holds at its end is what it held near its beginning."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Arenas of the allocator and a buffer or two.
MOST_GROWTH_MIB = 4.0
#: The index of images: three numbers and a state each, in pages that the system hands out when they are first written.
INDEX_BYTES = 25


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
@pytest.mark.parametrize(
    "pairs", [500, pytest.param(50_000, marks=[pytest.mark.slow, pytest.mark.timeout(7200)])], ids=["short", "long"]
)
def test_memory_is_flat(tmp_path: Path, pairs: int) -> None:
    program = [sys.executable, "-m", "tests.endurance.long_run", str(tmp_path / "run"), str(pairs)]
    said = json.loads(subprocess.check_output(program, cwd=ROOT, text=True))
    assert said["images"] == said["judgements"] == said["coverage"]["scored"] == 4 * pairs
    most = MOST_GROWTH_MIB + INDEX_BYTES * said["images"] / 2**20
    for step in ("generate_mib", "judge_mib"):
        held = said[step]
        assert len(held) == 20
        assert held[-1] - held[4] < most, (step, held)
