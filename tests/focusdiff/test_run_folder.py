"""Lines of a run's folder: what they hold, and what is left of them when a run is taken up."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from focusdiff.run_folder import RunFolder


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_numbers_that_are_none_are_null(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.append("metrics", {"step": 3, "k3/negative": math.inf, "loss": -math.inf, "reward": math.nan, "steps": 2})
    assert lines(tmp_path / "metrics.jsonl") == [
        {"step": 3, "k3/negative": None, "loss": None, "reward": None, "steps": 2}
    ]


def test_what_is_done_again_is_told_once_and_no_line_sticks_to_a_torn_one(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for step in range(6):
        folder.append("metrics", {"step": step})
    folder.append("events", {"step": 1, "kind": "unscored", "message": "two pictures"})
    folder.append("events", {"step": 4, "kind": "resumed", "message": "from 000004"})
    folder.append("events", {"step": 5, "kind": "steadiness", "message": "rate cut"})
    for name in ("metrics", "events"):
        with (tmp_path / f"{name}.jsonl").open("a", encoding="utf-8") as file:
            file.write('{"step": 6, "ki')
    folder.forget_from(4)
    folder.append("events", {"step": 4, "kind": "resumed", "message": "from 000004"})
    assert [line["step"] for line in lines(tmp_path / "metrics.jsonl")] == [0, 1, 2, 3]
    said = [(line["step"], line["kind"]) for line in lines(tmp_path / "events.jsonl")]
    assert said == [(1, "unscored"), (4, "resumed"), (4, "resumed")]
