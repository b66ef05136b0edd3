"""For a model's repository on the Hugging Face Hub: an ``.eval_results`` file and a section of its model card."""

from __future__ import annotations

import json
import re
from typing import Final, Literal

from paircomp.errors import ConfigError
from paircomp.report.markdown import escape, score_table
from paircomp.report.schema import Interval, Report
from paircomp.report.wording import average_over, percent, printable

__all__ = ["eval_results_path", "eval_results_yaml", "model_card_section"]

_Headline = Literal["s_g", "s_a"]
_HEADLINES: Final[tuple[_Headline, ...]] = ("s_g", "s_a")


def eval_results_path(report: Report) -> str:
    """Where the file goes in the model's repository; each suite, judge and K has a file of its own."""
    name = f"{report['suite']['name']}--{report['judge']['name']}--k{report['suite']['samples']}"
    return f".eval_results/{re.sub(r'[^A-Za-z0-9._-]+', '-', name)}.yaml"


def eval_results_yaml(
    report: Report,
    *,
    dataset_id: str,
    date: str | None = None,
    source_url: str | None = None,
    source_name: str = "PairComp report",
) -> str:
    """The macro averages s_g and s_a as the Hub's ``.eval_results`` YAML, in percent as the Hub shows them.

    Args:
        report: the report.
        dataset_id: Hub id of the benchmark's data set, whose ``eval.yaml`` defines the tasks ``average_s_g`` and
            ``average_s_a``.
        date: ISO 8601 day of the evaluation; the Hub takes the commit's where it is missing.
        source_url: where the report can be read.
        source_name: what the link says.

    Raises:
        ConfigError: there is no average over all subtasks of the suite to publish, or `dataset_id` is no Hub id.
    """
    faults = [
        f"average {metric} is null: no export without it" for metric in _HEADLINES if _value(report, metric) is None
    ]
    subtasks, whole = average_over(report)
    if subtasks != whole:
        faults.append(f"average over {subtasks} of {whole} subtasks: no export without all; next: evaluate the others")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", dataset_id):
        faults.append(f"dataset id {dataset_id!r}: expected OWNER/NAME of a data set on the Hub")
    if faults:
        raise ConfigError(faults, where="export to the Hub")
    entries = (_entry(report, metric, dataset_id, date, source_url, source_name) for metric in _HEADLINES)
    return "".join(entries)


def _entry(
    report: Report, metric: _Headline, dataset_id: str, date: str | None, source_url: str | None, source_name: str
) -> str:
    lines = [
        "- dataset:",
        f"    id: {_quoted(dataset_id)}",
        f"    task_id: {_quoted(f'average_{metric}')}",
        f"  value: {round(100 * (_value(report, metric) or 0.0), 10)}",
        *([f"  date: {_quoted(date)}"] if date else []),
        *(["  source:", f"    url: {_quoted(source_url)}", f"    name: {_quoted(source_name)}"] if source_url else []),
        f"  notes: {_quoted(_notes(report, metric))}",
    ]
    return "\n".join(lines) + "\n"


def _value(report: Report, metric: _Headline) -> float | None:
    return report["average"][metric]


def _quoted(text: str) -> str:
    """A YAML double-quoted scalar: every JSON string of plain ASCII is one."""
    return json.dumps(printable(text))


def _notes(report: Report, metric: _Headline) -> str:
    suite, bounds = report["suite"], report["average"]["ci"].get(metric)
    parts = [
        *report["notices"],
        f"judge {report['judge']['name']}",
        f"K={suite['samples']}",
        f"{suite['selected_pairs']} of {suite['pairs']} pairs",
        *_interval_note(report, bounds),
        f"suite digest {suite['digest'][:16]}",
    ]
    return "; ".join(parts)


def _interval_note(report: Report, bounds: Interval | None) -> list[str]:
    if bounds is None:
        return []
    return [f"{100 * report['interval']['level']:g}% interval {percent(bounds[0])} to {percent(bounds[1])}"]


def model_card_section(report: Report) -> str:
    """A Markdown section for a model card: notices, the score table, and what must be known to repeat it."""
    suite, version = report["suite"], escape(report["paircomp_version"])
    said = (
        f"{suite['selected_pairs']:,} of {suite['pairs']:,} pairs of `{_code(suite['name'])}`, K = {suite['samples']} "
        f"images per prompt, judged by `{_code(report['judge']['name'])}` with PairComp {version} "
        f"(suite digest `{_code(suite['digest'][:16])}`)."
    )
    notices = [f"**{escape(notice)}**\n" for notice in report["notices"]]
    return "\n".join(["## PairComp", "", *notices, said, "", *score_table(report), ""])


def _code(text: str) -> str:
    return printable(text).replace("`", "'")
