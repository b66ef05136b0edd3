"""The commands as a user types them."""

import json
from pathlib import Path

import pytest

from paircomp.cli import run
from paircomp.evaluation import EvaluatedRun


def test_from_runs_to_a_site(
    runs: dict[str, EvaluatedRun], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    folder = str(tmp_path / "entries")
    for name, evaluated in runs.items():
        assert run(["leaderboard", "add", str(evaluated.run.path), "--entries", folder, "--name", name]) == 0
    assert capfd.readouterr().out.splitlines()[-1] == str(tmp_path / "entries" / "poor--small-shapes--pixels")
    assert run(["leaderboard", "build", folder, "--out", str(tmp_path / "site")]) == 0
    assert capfd.readouterr().out.strip() == str(tmp_path / "site" / "index.html")
    assert (tmp_path / "site" / "models" / "good--small-shapes--pixels.html").is_file()
    assert run(["leaderboard", "build", folder, "--format", "markdown", "--no-published"]) == 0
    out = capfd.readouterr().out
    assert out.startswith("## small-shapes, judged by pixels")
    assert "PixArt" not in out
    assert run(["leaderboard", "build", folder, "--format", "csv", "--out", str(tmp_path / "t.csv")]) == 0
    assert "PixArt-alpha" in (tmp_path / "t.csv").read_text()


def test_a_bundle_goes_from_a_run_to_a_verified_row(
    runs: dict[str, EvaluatedRun], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    row = str(tmp_path / "row.zip")
    assert run(["leaderboard", "bundle", str(runs["good"].run.path), "--out", row, "--images", "--name", "mine"]) == 0
    assert "MiB" in capfd.readouterr().out
    assert run(["leaderboard", "verify", row, "--json", "--seed", "1"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert said["badge"] == "re-judged sample"
    assert run(["leaderboard", "verify", row, "--no-rejudge", "--entries", str(tmp_path / "entries")]) == 0
    out, err = capfd.readouterr()
    assert out.splitlines()[-1] == "badge: verified arithmetic"
    assert err.strip() == str(tmp_path / "entries" / "mine--small-shapes--pixels")
    assert run(["leaderboard", "build", str(tmp_path / "entries"), "--out", str(tmp_path / "site")]) == 0
    assert "verified arithmetic" in (tmp_path / "site" / "index.html").read_text()


def test_a_wrong_sum_stops_the_build_and_says_where(
    entries: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import shutil

    shutil.copytree(entries, tmp_path / "entries")
    file = tmp_path / "entries" / "good--small-shapes--pixels" / "entry.json"
    said = json.loads(file.read_text())
    said["report"]["average"]["s_g"] = 0.9999
    file.write_text(json.dumps(said))
    capfd.readouterr()
    assert run(["leaderboard", "build", str(tmp_path / "entries"), "--format", "csv"]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert "good--small-shapes--pixels: report.average.s_g says 0.9999, its scores give" in err
    assert run(["leaderboard", "build", str(tmp_path / "entries"), "--format", "csv", "--trust"]) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["leaderboard", "add", "absent", "--entries", "e"], 1, "no run here"),
        (["leaderboard", "add", "absent"], 2, "--entries"),
        (["leaderboard", "build", "absent", "--out", "site"], 1, "expected a folder of entries"),
        (["leaderboard", "build", "absent"], 2, "--out SITE"),
        (["leaderboard", "verify", "absent.zip"], 2, "absent.zip"),
        (["leaderboard", "verify", __file__], 1, "not a readable ZIP file"),
        (["view", "absent", "--no-open"], 1, "no run here"),
    ],
)
def test_mistakes_are_answered_in_one_line(
    arguments: list[str], code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == code
    out, err = capfd.readouterr()
    assert said in err
    assert out == ""
    assert "Traceback" not in err


def test_the_commands_are_light() -> None:
    import subprocess
    import sys

    script = ("import sys, paircomp_leaderboard.commands; "
              "print({'numpy', 'pandas', 'scipy', 'PIL', 'paircomp.evaluation'} & set(sys.modules))")  # fmt: skip
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "set()"
