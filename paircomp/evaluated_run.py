"""What an evaluation left, and what one does with it: the report, tables, a comparison with another run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from paircomp.errors import ConfigError, IncomparableRunsError
from paircomp.report.build import build_report
from paircomp.run_store import Run, Selection, differences
from paircomp.run_store.score_table import read_judged
from paircomp.types import Suite

if TYPE_CHECKING:
    import pandas as pd

    from paircomp.comparison import Comparison
    from paircomp.report.schema import Report

__all__ = ["EvaluatedRun", "Reading", "load_run"]

Reading = Literal["exclude", "zero"]


@dataclass(frozen=True)
class EvaluatedRun:
    """A run and what one does with it in a notebook.

    Attributes:
        run: the folder.
        suite: its pairs.
        selection: the pairs this result speaks of; ``None`` is all that were ever asked for.
    """

    run: Run
    suite: Suite
    selection: Selection | None = None

    def judge_name(self, judge: str | None = None) -> str:
        """The judge named, or the only one, or the suite's default one.

        Raises:
            ConfigError: several judges and none named; none at all.
        """
        judges = self.run.judges()
        if judge is not None and judge in judges:
            return judge
        if judge is None and len(judges) == 1:
            return judges[0]
        if judge is None and self.suite.default_judge in judges:
            return str(self.suite.default_judge)
        said = f"judge {judge!r} has not judged it" if judge else "which judge?"
        raise ConfigError([f"{said} (there are: {', '.join(judges) or 'none'}); next: paircomp judge, or --judge NAME"],
                          where=str(self.run.path))  # fmt: skip

    def report_folder(self, judge: str) -> Path:
        """Where the report files of a judge go: the run folder for the run's first judge, else that judge's own."""
        asked = (said.get("judge") for said in self.run.manifest["invocations"])
        first = next((name for name in asked if name in self.run.judges()), judge)
        return self.run.path if judge == first else self.run.judge(judge).path

    def pairs(self) -> tuple[int, ...]:
        """Positions of the pairs this result speaks of."""
        return self.selection.pairs(self.suite) if self.selection else self.run.selected_pairs(self.suite)

    def report(self, judge: str | None = None, *, unscored: Reading = "exclude") -> Report:
        """The report as JSON values (schema ``paircomp-report/1``)."""
        return build_report(self.run, self.suite, self.judge_name(judge), self.pairs(), reading=unscored)

    def to_frame(self, judge: str | None = None) -> pd.DataFrame:
        """One row per image: its place, subtask and prompt, own score, cross score, and the reason if unscored."""
        from paircomp.report.frames import image_frame

        return image_frame(self.run, self.suite, self.judge_name(judge), self.pairs())

    def pair_frame(self, judge: str | None = None) -> pd.DataFrame:
        """One row per pair: a, g, gap, pass and both prompts; NaN where a score is missing."""
        from paircomp.report.frames import pair_frame

        return pair_frame(self.run, self.suite, self.judge_name(judge), self.pairs())

    def compare(self, other: EvaluatedRun | str | Path, *, judge: str | None = None, alpha: float = 0.05) -> Comparison:
        """How `other` differs from this run, on the pairs that both have (differences are other minus this).

        Raises:
            IncomparableRunsError: other suite, other number of samples, or the judge had other settings.
        """
        that = other if isinstance(other, EvaluatedRun) else load_run(other)
        return _compare(self, that, self.judge_name(judge), alpha)

    def __repr__(self) -> str:
        identity = self.run.identity
        return f"<EvaluatedRun {identity['model']} on {identity['suite']['name']}: {self.run.path}>"

    def _repr_html_(self) -> str:
        from html import escape

        from paircomp.report.tables import subtask_table

        report = self.report()
        notices = "".join(f"<p><b>{escape(notice)}</b></p>" for notice in report["notices"])
        columns = ["subtask", "kind", "pairs", "s_a", "s_g", "gap", "full_pass"]
        table = subtask_table(report)[columns].to_html(index=False, float_format="{:.3f}".format, na_rep="")
        return f"<p>{escape(repr(self))}</p>{notices}{table}"


def _compare(this: EvaluatedRun, that: EvaluatedRun, judge: str, alpha: float) -> Comparison:
    from paircomp.comparison import compare

    ours, theirs = ({name: each.run.identity["suite"][name] for name in ("digest", "samples")} for each in (this, that))
    found = differences(ours, theirs, "suite.")
    if not found:
        ours, theirs = (_comparable(each.run.judge(each.judge_name(judge)).identity) for each in (this, that))
        found = differences(ours, theirs, "judge.")
    if found:
        raise IncomparableRunsError(this.run.path, that.run.path, found)
    tables = [read_judged(each.run, each.suite, judge, each.pairs()).table for each in (this, that)]
    names = (str(this.run.identity["model"]), str(that.run.identity["model"]))
    if names[0] == names[1]:
        names = (str(this.run.path), str(that.run.path))
    comparison = compare(*tables, names=names, reading="exclude", alpha=alpha, suite_pairs=len(this.suite.pairs),
                    suite_subtasks=len(this.suite.subtasks))  # fmt: skip
    trained = (this.run.manifest.get("trained_with_judge"), that.run.manifest.get("trained_with_judge"))
    return replace(comparison, judge=judge, trained_with_judge=trained)


def _comparable(identity: Mapping[str, Any]) -> dict[str, Any]:
    """What must be the same for two runs to be judged alike; evidence of what one judge did in one run is not."""
    return {name: said for name, said in identity.items() if name != "evidence"}


def load_run(path: str | Path) -> EvaluatedRun:
    """Open a run folder.

    Raises:
        RunError: there is no run, or it cannot be read.
    """
    run = Run.open(Path(path))
    return EvaluatedRun(run, run.suite())
