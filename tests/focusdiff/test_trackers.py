"""Trackers whose packages are not among the tests' own: each test runs where its package is installed.

They keep what they know for a whole process, so each run is a process of its own, as it is in life.
"""

from __future__ import annotations

import json
import os
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

_RUN = """
import sys
from pathlib import Path
from focusdiff.observers.trackers import Trackers
name, folder, first = sys.argv[1:]
trackers = Trackers([name], project="pairs", run=Path(folder))
trackers.on_step(int(first), {"reward": 0.25, "loss": float("nan")})
trackers.send(int(first) + 1, {"evaluation/pixels/s_g": 0.5})
trackers.on_step(int(first) + 1, {"reward": 0.75})
trackers.close()
print("the result")
"""


def run(tracker: str, folder: Path, first: int) -> str:
    """Two steps in a process of their own; returns its standard output."""
    folder.mkdir(parents=True, exist_ok=True)
    home = str(folder.parent / "home")
    offline = {"WANDB_MODE": "offline", "TRACKIO_DIR": home, "HOME": home, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", _RUN, tracker, str(folder), str(first)],
        env={**os.environ, **offline}, check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_trackio_gets_finite_numbers_and_a_run_that_continues_stays_one(tmp_path: Path) -> None:
    pytest.importorskip("trackio")
    folders = [tmp_path / "a" / "same", tmp_path / "b" / "same"]
    said = [run("trackio", folders[0], 0), run("trackio", folders[0], 2), run("trackio", folders[1], 0)]

    assert said == ["the result\n"] * 3  # what trackio prints is no result
    rows = [row for folder in (tmp_path / "a", tmp_path / "b") for row in trackio_rows(folder / "home" / "pairs.db")]
    names = list(dict.fromkeys(name for name, *_ in rows))
    assert len(names) == 2
    assert all(name.startswith("same-") for name in names)
    assert [(step, numbers) for name, step, numbers in rows if name == names[0]] == [
        (1, {"reward": 0.25}), (1, {"evaluation/pixels/s_g": 0.5}), (2, {"reward": 0.75}),
        (3, {"reward": 0.25}), (3, {"evaluation/pixels/s_g": 0.5}), (4, {"reward": 0.75}),
    ]  # fmt: skip


def trackio_rows(database: Path) -> list[tuple[str, int, dict[str, float]]]:
    with closing(sqlite3.connect(database)) as opened:
        found = opened.execute("select run_name, step, metrics from metrics order by id").fetchall()
    return [(name, step, json.loads(numbers)) for name, step, numbers in found]


def test_wandb_gets_finite_numbers_and_a_run_that_continues_stays_one(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    folder = tmp_path / "run"
    said = [run("wandb", folder, 0), run("wandb", folder, 2)]

    assert said == ["the result\n"] * 2
    files = sorted(folder.glob("wandb/offline-run-*/*.wandb"))
    identity = json.loads((folder / "trackers.json").read_text())["id"]
    assert [file.name for file in files] == [f"run-{identity}.wandb"] * 2
    first, second = (list(wandb_rows(file)) for file in files)
    assert first == [
        {"_step": 1, "reward": 0.25, "evaluation/pixels/s_g": 0.5}, {"_step": 2, "reward": 0.75}
    ]  # fmt: skip
    assert [row["_step"] for row in second] == [3, 4]


def wandb_rows(file: Path) -> Iterator[dict[str, float]]:
    """History of a file of an offline run: records in LevelDB's log format after seven bytes of header."""
    from wandb.proto import wandb_internal_pb2

    data, at, record = file.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        _, size, kind = struct.unpack("<IHB", data[at : at + 7])
        record += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part
            told = wandb_internal_pb2.Record.FromString(record)
            record = b""
            if told.WhichOneof("record_type") == "history":
                row = {"/".join(each.nested_key) or each.key: json.loads(each.value_json) for each in told.history.item}
                yield {name: value for name, value in row.items() if name == "_step" or not name.startswith("_")}


def test_an_identity_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    pytest.importorskip("trackio")
    from focusdiff.observers.trackers import Trackers
    from paircomp.errors import RunError

    (tmp_path / "trackers.json").write_text("[]")
    with pytest.raises(RunError, match=r'trackers.json: expected \{"id": ...\}, not readable'):
        Trackers(["trackio"], project="pairs", run=tmp_path).send(1, {"reward": 1.0})


def test_where_one_tracker_cannot_start_the_one_before_it_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracking = pytest.importorskip("accelerate.tracking")
    from focusdiff.observers.trackers import Trackers

    told: list[str] = []

    class FakeTracker:
        """A fake: says what it is asked to do."""

        name = "fake"

        def __init__(self, **asked: object) -> None:
            told.append(f"made {sorted(asked)}")

        def start(self) -> None:
            told.append("started")

        def finish(self) -> None:
            told.append("finished")

    class UnreachableTracker(FakeTracker):
        """A fake whose service is down."""

        def start(self) -> None:
            raise ConnectionError("no service")

    monkeypatch.setattr("focusdiff.observers.trackers.missing_imports", lambda names: [])
    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "tensorboard", FakeTracker)
    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "wandb", UnreachableTracker)
    with (
        pytest.raises(ConnectionError, match="no service"),
        closing(Trackers(["tensorboard", "wandb"], project="pairs", run=tmp_path)) as trackers,
    ):
        trackers.send(1, {"reward": 0.5})

    assert told[:2] == ["made ['logging_dir', 'run_name']", "started"]
    assert told[-1] == "finished"
    assert told.count("finished") == 1
