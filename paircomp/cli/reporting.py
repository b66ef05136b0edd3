"""``paircomp report``: the table, the page and the exports of a finished run."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from paircomp.cli.options import registry_of, suite_options

if TYPE_CHECKING:
    from paircomp.evaluation import EvaluatedRun
    from paircomp.report.schema import Report

__all__ = ["report_command", "show_report", "write_reports"]

#: Written by every `eval` and `report`; the others are asked for by name.
DEFAULT_FORMATS = ("json", "md", "csv", "html")
FORMATS = (*DEFAULT_FORMATS, "eee", "hub", "official")


class Formats(click.ParamType[tuple[str, ...]]):
    """Names of formats, separated by commas."""

    name = "LIST"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Refuse unknown names."""
        if isinstance(value, tuple):
            return value
        names = tuple(name.strip() for name in str(value).split(",") if name.strip())
        for name in names:
            if name not in FORMATS:
                self.fail(f"unknown format {name!r}, known: {', '.join(FORMATS)}", param, ctx)
        return names


@click.command("report", short_help="Table, page and exports of a finished run.")
@click.argument("run", required=False, type=click.Path(path_type=Path), metavar="[RUN]")
@click.option("--judge", metavar="NAME", help="Whose scores; default the only judge, or the suite's own.")
@suite_options
@click.option("--unscored", type=click.Choice(["exclude", "zero"]), default="exclude", show_default=True,
              help="What unscored images do to the headline; the report holds both.")  # fmt: skip
@click.option("--format", "formats", type=Formats(), default=DEFAULT_FORMATS,
              help=f"Files to write: {','.join(FORMATS)}.  [default: {','.join(DEFAULT_FORMATS)}]")  # fmt: skip
@click.option("--include-prompts", is_flag=True,
              help="Put the prompts themselves into exports of a suite that may not be republished.")  # fmt: skip
@click.option("--organization", default="unknown", metavar="NAME", help="Who ran it, for Every Eval Ever records.")
@click.option("--hub-dataset", metavar="OWNER/NAME", help="The benchmark's data set, for the Hub's .eval_results.")
@click.option("--official-scores", type=click.Path(path_type=Path), metavar="FILE",
              help="Summarise a score.json of the published evaluator; needs --suite.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@click.option("--plugin", "plugins", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
              help="A Python file with more suites.")  # fmt: skip
@click.option("-v", "--verbose", is_flag=True, help="Show where an error came from.")
def report_command(run: Path | None, **given: Any) -> None:
    """Print the table of RUN and write its report files into it; of a part of it, print the table alone.

    \b
      paircomp report runs/sketch--shapes--seed0
      paircomp report RUN --format md,csv,eee,hub
      paircomp report --official-scores score.json --suite PairComp.json --json
    """
    if (run is None) == (given["official_scores"] is None):
        raise click.UsageError("name a RUN or --official-scores FILE, one of them.")
    if run is None:
        show_report(_official_report(given), [], as_json=given["as_json"])
        return
    from paircomp.evaluation import load_run

    if given["suite"]:
        raise click.UsageError("--suite goes with --official-scores; a RUN has its own.")
    evaluated = _narrowed(load_run(run), given["limit"], given["subtasks"])
    judge = evaluated.judge_name(given["judge"])
    report = evaluated.report(judge, unscored=given["unscored"])
    files = write_reports(evaluated, report, judge, formats=given["formats"], organization=given["organization"],
                          hub_dataset=given["hub_dataset"], include_prompts=given["include_prompts"])  # fmt: skip
    show_report(report, files, as_json=given["as_json"])


def _narrowed(evaluated: EvaluatedRun, limit: int | None, subtasks: tuple[str, ...]) -> EvaluatedRun:
    from dataclasses import replace

    from paircomp.run_store import Selection

    if limit is None and not subtasks:
        return evaluated
    return replace(evaluated, selection=Selection(limit, subtasks or None))


def _official_report(given: dict[str, Any]) -> Report:
    from paircomp.report.build import build_official_report
    from paircomp.scoring import read_official_scores
    from paircomp.suites import load_suite

    if not given["suite"]:
        raise click.UsageError("--official-scores needs --suite: which prompts were scored?")
    suite = load_suite(registry_of(given["plugins"]), given["suite"])
    path: Path = given["official_scores"]
    table = read_official_scores(path, suite.pairs)
    return build_official_report(table, suite, source=path.name, reading=given["unscored"])


def show_report(report: Report, files: Iterable[Path], *, as_json: bool) -> None:
    """Print the report: one JSON object and nothing else, or a table and where the files are."""
    if as_json:
        click.echo(json.dumps(report, ensure_ascii=False, allow_nan=False))
        return
    from rich.console import Console

    from paircomp.report.terminal import render

    console = Console(highlight=False, soft_wrap=False)
    console.print(render(report))
    written = list(files)
    if written:
        names = ", ".join(file.name for file in written)
        console.print(f"\nwritten to {written[0].parent}: {names}", style="dim", markup=False, soft_wrap=True)
    sys.stdout.flush()


def write_reports(
    evaluated: EvaluatedRun,
    report: Report,
    judge: str,
    *,
    formats: Iterable[str] = DEFAULT_FORMATS,
    organization: str = "unknown",
    hub_dataset: str | None = None,
    include_prompts: bool = False,
) -> list[Path]:
    """Write the report in each format into the run folder; those of a second judge into that judge's own folder.

    A look at a part of what the run was asked for leaves the files of the whole alone, and says so on stderr.

    Args:
        evaluated: the run.
        report: its report.
        judge: whose scores.
        formats: of :data:`FORMATS`.
        organization: for Every Eval Ever.
        hub_dataset: the benchmark's data set on the Hub.
        include_prompts: put prompts that may not be republished into exports all the same.

    Returns:
        the files, in the order of `formats`.
    """
    asked = evaluated.run.selected_pairs(evaluated.suite)
    if not set(asked).issubset(evaluated.pairs()):
        click.echo(f"Note: this run was asked for {len(asked)} pairs; its report files are left as they are "
                   f"(paircomp report {evaluated.run.path})", err=True)  # fmt: skip
        return []
    from paircomp.cli.exports import export_every_eval_ever, export_hub, export_official_scores
    from paircomp.runtime.files import disk_faults, write_atomically

    contents: dict[str, Callable[[], dict[str, bytes]]] = {
        "json": lambda: {"report.json": _json(report)},
        "md": lambda: {"report.md": _markdown(report)},
        "csv": lambda: _tables(evaluated, report, judge, texts=include_prompts or evaluated.suite.prompts_public),
        "html": lambda: {"report.html": _page(report)},
        "hub": lambda: export_hub(evaluated, report, dataset=hub_dataset),
        "official": lambda: export_official_scores(evaluated, judge),
    }
    files: list[Path] = []
    folder = evaluated.report_folder(judge)
    for name in formats:
        with disk_faults(folder):
            if name == "eee":
                files += export_every_eval_ever(evaluated, report, judge, folder, organization=organization,
                                                include_prompts=include_prompts)  # fmt: skip
                continue
            for filename, content in contents[name]().items():
                write_atomically(folder / filename, content)
                files.append(folder / filename)
    return files


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _markdown(report: Report) -> bytes:
    from paircomp.report.markdown import to_markdown

    return to_markdown(report).encode()


def _page(report: Report) -> bytes:
    from paircomp.report.html import to_html

    return to_html(report).encode()


def _tables(evaluated: EvaluatedRun, report: Report, judge: str, *, texts: bool) -> dict[str, bytes]:
    """The score table and the pairs; prompts that may not be republished appear as their SHA-256."""
    from paircomp.report.tables import csv_text, to_csv
    from paircomp.suites import prompt_sha256

    frame = evaluated.pair_frame(judge)
    if not texts:
        for column in ("prompt1", "prompt2"):
            frame[f"{column}_sha256"] = frame.pop(column).map(prompt_sha256)
    return {"report.csv": to_csv(report).encode(), "pairs.csv": csv_text(frame).encode()}
