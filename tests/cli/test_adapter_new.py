"""``paircomp adapter new``: the package installs, keeps the contract at once, and is evaluated."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from paircomp.cli import run

Ended = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Ended]:
    """Writes the package, installs it as anyone would, and runs programs of the environment that has it."""
    folder = tmp_path_factory.mktemp("new")
    package, site = folder / "mine", folder / "site"
    assert run(["adapter", "new", "my-model", "--into", str(package)]) == 0
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    how = ["--no-deps", "--no-build-isolation", "--target", str(site)]
    subprocess.run([*pip, *how, str(package)], check=True, timeout=120)
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([str(site), *([inherited] if inherited else [])])

    def start(*words: str) -> Ended:
        command = [sys.executable, *words]
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, cwd=package,
                              env={**os.environ, "PYTHONPATH": path})  # fmt: skip

    return start


PAIRCOMP = ("-c", "from paircomp.cli import main; main()")


def test_it_passes_its_check_at_once(installed: Callable[..., Ended]) -> None:
    ended = installed(*PAIRCOMP, "adapter", "check", "my-model", "--exact")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("     ok  ") >= 16
    assert "FAILED" not in ended.stdout


def test_its_own_tests_pass(installed: Callable[..., Ended]) -> None:
    ended = installed("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "2 passed" in ended.stdout


def test_it_is_evaluated_by_name(installed: Callable[..., Ended], tmp_path: Path) -> None:
    words = ["eval", "--model", "my-model", "--limit", "6", "--out", str(tmp_path / "run"), "--json"]
    ended = installed(*PAIRCOMP, *words)

    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert report["coverage"]["images"] == 24
    assert report["average"]["s_a"] < 0.5  # stripes show no scene


def test_its_faults_come_out_as_one_line(installed: Callable[..., Ended], tmp_path: Path) -> None:
    words = ["eval", "--model", "my-model", "--limit", "6", "--out", str(tmp_path / "run"), "-o", "stripes=0"]
    ended = installed(*PAIRCOMP, *words)

    assert ended.returncode == 1
    assert "Error: generator 'my-model': stripes: expected a number from 1, got 0" in ended.stderr


def test_what_it_writes_is_as_ruff_would_have_it(tmp_path: Path) -> None:
    assert run(["adapter", "new", "two-words", "--into", str(tmp_path / "p")]) == 0
    ruff = [sys.executable, "-m", "ruff"]
    for words in (["check", "--isolated", "--select", "E,F,I,UP,B"], ["format", "--isolated", "--check"]):
        command = [*ruff, *words, "--line-length", "120", "."]
        ended = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path / "p", timeout=60)
        assert ended.returncode == 0, ended.stdout + ended.stderr


def test_it_says_what_it_wrote_and_what_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["adapter", "new", "m2"]) == 0
    said = capsys.readouterr()
    written = {path.as_posix() for path in Path("paircomp-m2").rglob("*") if path.is_file()}
    written = {path.removeprefix("./") for path in written}

    assert {Path(line).as_posix() for line in said.out.splitlines()} == written
    assert "next: python -m pip install -e paircomp-m2, then: paircomp adapter check m2" in said.err
    assert "$" not in "".join(Path(path).read_text() for path in written)


@pytest.mark.parametrize("name", ["My-Model", "my_model", "2nd", "my--model", "model-", "lambda", "a/b", ""])
def test_a_name_that_cannot_be_one_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert run(["adapter", "new", name]) == 1
    assert "Error: adapter name: " in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_ever_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "README.md").write_text("precious")
    (tmp_path / "file").write_text("precious")

    assert run(["adapter", "new", "m", "--into", str(tmp_path / "mine")]) == 1
    assert run(["adapter", "new", "m", "--into", str(tmp_path / "file")]) == 1
    err = capsys.readouterr().err
    assert "expected a new or empty folder, got a folder that holds files" in err
    assert "got a file; next: choose another with --into" in err
    assert (tmp_path / "mine" / "README.md").read_text() == "precious"


def test_check_asks_for_two_prompts(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["adapter", "check", "sketch", "--prompt", "one"]) == 2
    assert "--prompt: expected at least two" in capsys.readouterr().err


def test_a_taken_name_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["adapter", "new", "sketch", "--into", str(tmp_path / "made")]) == 1
    assert "'sketch' is taken" in capsys.readouterr().err
    assert not (tmp_path / "made").exists()


GIVEN = "*, checkpoint=None, device='cpu', dtype=None"
EXITS = "class Exits:\n    def generate(self, requests):\n        raise SystemExit(0)\n    def close(self): ...\n"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def broken(*, checkpoint=None, device='cpu'):\n    return None", "unexpected keyword argument"),
        (
            f"def broken({GIVEN}):\n    raise RuntimeError('driver too old')",
            "cannot be made: RuntimeError: driver too old",
        ),
        (f"{EXITS}def broken({GIVEN}):\n    return Exits()", "breaks its contract"),
    ],
)
def test_a_broken_factory_is_told_in_one_line(
    code: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin = tmp_path / "broken_plugin.py"
    plugin.write_text(f"{code}\nGENERATORS = {{'broken': broken}}\n")

    assert run(["adapter", "check", "broken", "--plugin", str(plugin)]) == 1

    printed = capsys.readouterr()
    assert said in printed.err
    assert "Traceback" not in printed.err
