"""The second opinion on a model that was trained with a judge's score: which judge gives it, and why it may be missing.

A model rewarded by a judge learns what that judge likes. Its runs are therefore judged by the suite's held-out judge as
well, and a run remembers when that failed, so that every later report says so.
"""

from __future__ import annotations

import contextlib

from paircomp.errors import RunError
from paircomp.run_store.run import Run
from paircomp.runtime.files import disk_faults, write_json
from paircomp.runtime.json_text import parse_json
from paircomp.scoring.training_judges import trained_on
from paircomp.types import Suite

__all__ = [
    "HELD_OUT_SCHEMA",
    "held_out_judge",
    "held_out_obstacle",
    "needs_held_out",
    "read_problem",
    "store_problem",
]

HELD_OUT_SCHEMA = "paircomp-held-out/1"
_FILE = "held-out.json"


def held_out_judge(run: Run, suite: Suite) -> str | None:
    """The judge that gives the second opinion; ``None`` where the suite offers none.

    It is the suite's held-out judge, or, where that one rewarded the model, the suite's own judge.
    """
    trained: str | None = run.manifest.get("trained_with_judge")
    offered = (suite.held_out_judge, suite.default_judge) if suite.held_out_judge else ()
    return next((judge for judge in offered if judge and not trained_on(trained, judge)), None)


def needs_held_out(run: Run, suite: Suite, judge: str) -> bool:
    """Whether the scores of `judge` need a second opinion, because the model was trained with a judge.

    The judge that would give that opinion needs none.
    """
    trained: str | None = run.manifest.get("trained_with_judge")
    if trained is None or judge == held_out_judge(run, suite):
        return False
    return trained_on(trained, judge) or suite.held_out_judge is None or not trained_on(trained, suite.held_out_judge)


def held_out_obstacle(run: Run, suite: Suite) -> str | None:
    """Why no judge of this suite can give a second opinion; ``None`` where one can."""
    if held_out_judge(run, suite) is not None:
        return None
    if suite.held_out_judge is None:
        return f"suite {suite.name!r} names no held-out judge; next: judge the run by another one (paircomp judge)"
    return (f"the held-out judge of suite {suite.name!r} is {suite.held_out_judge!r} itself, this model's training "
            "reward; next: judge the run by another one (paircomp judge)")  # fmt: skip


def store_problem(run: Run, judge: str, problem: str | None) -> None:
    """Remember why the held-out judge could not run; ``None`` when it did."""
    file = run.path / "judges" / _FILE
    with disk_faults(file):
        write_json(file, {"schema": HELD_OUT_SCHEMA, "judge": judge, "problem": problem})


def read_problem(run: Run, judge: str) -> str | None:
    """What :func:`store_problem` remembered of this judge; ``None`` where nothing went wrong or nothing was tried.

    Raises:
        RunError: the file is damaged.
    """
    file = run.path / "judges" / _FILE
    if not file.is_file():
        return None
    with disk_faults(file), contextlib.suppress(ValueError, KeyError, TypeError):
        said = parse_json(file.read_text(encoding="utf-8"))
        problem: str | None = said["problem"]
        return problem if said["judge"] == judge else None
    raise RunError(file, "not a record of held-out judging (damaged); next: delete it and run the same command again")
