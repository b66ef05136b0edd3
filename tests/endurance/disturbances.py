"""What the endurance tests share: an evaluation in a child that can be killed, and how two runs are held together."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from paircomp.cli import run as paircomp
from paircomp.run_store import Run
from paircomp.run_store.records import RecordFolder
from paircomp.run_store.run import IMAGES_SCHEMA, JUDGEMENTS_SCHEMA

REPORTS = ("report.json", "report.csv", "pairs.csv", "report.md", "report.html")


def started(arguments: Sequence[str], *, said: Path | None = None) -> int:
    """The id of a child of this process that runs the command line; forked, so that it need not import anything.

    What it says on stdout and stderr goes to the file `said`.
    """
    child = os.fork()
    if child == 0:
        if said is not None:
            sys.stdout = sys.stderr = said.open("w", buffering=1)
        code = 70
        try:
            code = paircomp(list(arguments))
        finally:
            os._exit(code)  # never into pytest, whatever happened
    return child


def ended(child: int) -> int:
    """The exit code of a child that ends by itself."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_after(child: int, seconds: float) -> bool:
    """Whether SIGKILL met the child alive; one that had ended before must have ended well."""
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def step_of(run: Path, *, images: int, judgements: int) -> str:
    """What a run that was killed was doing, as its files tell."""
    if not (run / "run.json").is_file():
        return "nothing yet"
    drawn = sum(1 for _ in RecordFolder(run / "generate", schema=IMAGES_SCHEMA).read())
    if drawn < images:
        return "generate"
    judges = Run.open(run).judges()
    judged = sum(1 for name in judges for _ in RecordFolder(run / "judges" / name, schema=JUDGEMENTS_SCHEMA).read())
    return "judge" if judged < judgements else "report"


def cleared(folder: Path) -> None:
    """Delete what a run left."""
    for file in sorted(folder.rglob("*"), key=lambda path: -len(path.parts)):
        file.rmdir() if file.is_dir() else file.unlink()


def equal_runs(one: Path, other: Path, *, images: int) -> None:
    """Hold reports and images of two runs against each other, to the byte."""
    for name in REPORTS:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    pictures = {path.name: path.read_bytes() for path in (one / "images").glob("*.png")}
    assert pictures == {path.name: path.read_bytes() for path in (other / "images").glob("*.png")}
    assert len(pictures) == images


def scores_of(run: Path) -> object:
    """What a report says of the model, without when and where."""
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    return {name: report[name] for name in ("subtasks", "average", "coverage")}
