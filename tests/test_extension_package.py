"""A package of third parties, installed as anyone would install it, driven through the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent / "extension_package"
Ended = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def paircomp_with_extension(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Ended]:
    """Runs ``paircomp`` in a process that finds the installed package."""
    folder = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    how = ["--no-deps", "--no-build-isolation", "--target", str(folder)]
    subprocess.run([*pip, *how, str(PACKAGE)], check=True, timeout=120)
    inherited = os.environ.get("PYTHONPATH")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *([inherited] if inherited else [])])}

    def run(*words: str) -> Ended:
        command = [sys.executable, "-c", "from paircomp.cli import main; main()", *words]
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, env=environment)

    return run


def test_its_model_generator_and_judge_are_listed(paircomp_with_extension: Callable[..., Ended]) -> None:
    models = paircomp_with_extension("models")
    judges = paircomp_with_extension("judges")

    assert (models.returncode, judges.returncode) == (0, 0), models.stderr + judges.stderr
    assert "example-colour" in models.stdout
    assert "example-colour" in judges.stdout


@pytest.mark.parametrize("kind", ["generator", "judge"])
def test_it_keeps_the_contract(paircomp_with_extension: Callable[..., Ended], kind: str) -> None:
    ended = paircomp_with_extension("adapter", "check", "example-colour", "--kind", kind)

    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_it_is_evaluated_like_any_other(paircomp_with_extension: Callable[..., Ended], tmp_path: Path) -> None:
    words = ["eval", "--model", "example-colour", "--judge", "example-colour", "--suite", "shapes", "--limit", "12"]

    ended = paircomp_with_extension(*words, "--out", str(tmp_path / "run"), "--json")

    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert report["coverage"]["images"] == report["coverage"]["scored"] == 12 * 2 * 2
    assert len(report["subtasks"]) == 6
    assert 0.3 < report["average"]["s_g"] < report["average"]["s_a"] < 0.99


def test_without_spread_every_score_is_one(paircomp_with_extension: Callable[..., Ended], tmp_path: Path) -> None:
    words = ["eval", "--model", "example-colour", "--judge", "example-colour", "--limit", "6", "-o", "spread=0"]

    ended = paircomp_with_extension(*words, "--out", str(tmp_path / "run"), "--json")

    assert ended.returncode == 0, ended.stderr
    average = json.loads(ended.stdout)["average"]
    assert (average["s_a"], average["s_g"], average["gap"]) == (1, 1, 0)


def test_its_errors_come_out_as_one_line(paircomp_with_extension: Callable[..., Ended], tmp_path: Path) -> None:
    words = ["eval", "--model", "example-colour", "--judge", "example-colour", "--limit", "6", "-o", "spread=2"]

    ended = paircomp_with_extension(*words, "--out", str(tmp_path / "run"))

    assert ended.returncode == 1
    assert "generator 'example-colour': spread: expected a number in [0, 1], got 2" in " ".join(ended.stderr.split())
