"""Real runs of the embedded world, small enough to make for every test session."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import paircomp
from paircomp.evaluation import EvaluatedRun
from paircomp.plugins import Registry
from paircomp.runtime.stores import open_store
from paircomp.suites import select_pairs
from paircomp.types import Suite, suite_digest
from paircomp_leaderboard.recording import add_entry

PAIRS = 48
HOSTILE = "<script>alert('a model named this')</script>"


def small_shapes() -> Suite:
    """48 pairs of the embedded suite, 8 per subtask, as a suite of their own."""
    whole = Registry().suite("shapes")
    chosen = [replace(whole.pairs[place], pair=number) for number, place in enumerate(select_pairs(whole, limit=PAIRS))]
    return Suite("small-shapes", chosen, suite_digest(chosen), default_judge="pixels")


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, EvaluatedRun]:
    """Runs of one suite by one judge: good and fair lie close, poor does not."""
    folder = tmp_path_factory.mktemp("runs")
    mistakes = {"good": 0.02, "fair": 0.03, "poor": 0.5}
    return {
        name: paircomp.evaluate(
            "sketch", small_shapes(), out=folder / name, options={"mistakes": rate, "blemishes": 0.02}
        )
        for name, rate in mistakes.items()
    }


@pytest.fixture(scope="session")
def entries(runs: dict[str, EvaluatedRun], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their entries, and one whose name is an attack."""
    folder = tmp_path_factory.mktemp("entries")
    for name, evaluated in runs.items():
        add_entry(evaluated, folder, label=name)
    add_entry(runs["poor"], folder, label=HOSTILE)
    return folder


@pytest.fixture
def in_a_bucket(runs: dict[str, EvaluatedRun], tmp_path: Path) -> EvaluatedRun:
    """The run "good" with its images in a bucket and nowhere else."""
    import shutil

    folder = tmp_path / "run-in-a-bucket"
    shutil.copytree(runs["good"].run.path, folder)
    store = open_store(f"memory://{tmp_path.name}/images")
    for path in (folder / "images").iterdir():
        store.write(path.name, path.read_bytes())
    shutil.rmtree(folder / "images")
    manifest = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**manifest, "store": store.location}))
    return paircomp.load_run(folder)


@pytest.fixture
def edited(entries: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy of an entry in a folder of its own, with its JSON changed by a function."""
    import shutil

    def edit(change: Callable[[dict[str, Any]], Any], *, name: str = "poor--small-shapes--pixels") -> Path:
        target = tmp_path / "entries" / name
        shutil.copytree(entries / name, target, ignore=shutil.ignore_patterns("thumbnails"))
        said = json.loads((target / "entry.json").read_text())
        change(said)
        (target / "entry.json").write_text(json.dumps(said))
        return target

    return edit
