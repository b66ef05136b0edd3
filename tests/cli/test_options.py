"""Options that many commands share, and what is said of names that do not exist."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from paircomp.cli import run


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["eval", "--model", "sketch", "--batch-size", "²"], 2, "expected 'auto' or a whole number from 1"),
        (["eval", "--model", "sketch", "--batch-size", "٣"], 2, "expected 'auto' or a whole number from 1"),
        (["eval", "--model", "sketch", "--suite", "folder"], 1, "this is a folder"),
        (["eval", "--model", "sketch", "--suite", "./folder"], 1, "this is a folder"),
        (["eval", "--adapter", "sketsh", "--suite", "shapes"], 1, "(list them with: paircomp models)"),
        (["eval", "--model", "sketch", "--judge", "pixel"], 1, "(list them with: paircomp judges)"),
        (["adapter", "check", "nope"], 1, "unknown generator or judge 'nope'"),
        (["adapter", "check", "nope"], 1, "(list them with: paircomp models, paircomp judges)"),
        (["compare", "a", "b", "--alpha", "0.5"], 2, "--alpha"),
    ],
)
def test_mistakes_are_answered_in_one_line(
    arguments: list[str], code: int, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == code
    err = capfd.readouterr().err
    assert said in err
    assert "Traceback" not in err


@pytest.mark.parametrize("command", [["fetch", "nothing"], ["adapter", "check", "nope"]])
def test_verbose_shows_where_an_error_came_from(command: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "-v"]) == 1
    assert "Traceback" in capfd.readouterr().err


def test_the_list_that_an_unknown_adapter_points_to_names_all_adapters(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["eval", "--adapter", "comand", "--suite", "shapes"]) == 1
    assert "list them with: paircomp models" in capfd.readouterr().err
    assert run(["models"]) == 0
    said = capfd.readouterr().err
    assert all(name in said for name in ("command", "folder", "sketch"))
    assert run(["models", "--json"]) == 0
    assert {"command", "folder", "sketch"} <= set(json.loads(capfd.readouterr().out)["adapters"])


@pytest.mark.parametrize("command", ["models", "judges", "suites", "doctor"])
def test_every_list_takes_verbose(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run([command, "-v", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)


def test_the_checks_of_an_adapter_are_one_object(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["adapter", "check", "pixels", "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert (said["kind"], said["name"]) == ("judge", "pixels")
    assert all(check["passed"] is not False for check in said["checks"])


def test_an_extra_needs_what_the_extras_it_includes_need(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json"]) == 0
    extras = json.loads(capfd.readouterr().out)["extras"]
    assert set(extras["models"]) <= set(extras["train"]) & set(extras["diffusion"])


def test_a_list_in_a_pipe_has_one_line_for_each() -> None:
    command = [sys.executable, "-m", "paircomp"]
    rows = json.loads(subprocess.run([*command, "models", "--json"], check=True, capture_output=True).stdout)["models"]
    lines = subprocess.run([*command, "models"], check=True, capture_output=True, text=True).stdout.splitlines()
    assert len([line for line in lines if line.strip()]) == len(rows) + 2
    assert all(any(line.startswith(row["name"] + " ") for line in lines) for row in rows)
