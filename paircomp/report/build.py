"""Assembling the report of a run: one mapping of JSON values, from which every table, page and export is drawn.

It holds no times, hosts or paths: the same identity and the same judgements give the same bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from paircomp import __version__
from paircomp.report.held_out import build_held_out, held_out_notice
from paircomp.report.local_paths import without_folders
from paircomp.report.reasons import PublicReasons
from paircomp.report.schema import REPORT_SCHEMA, HeldOutSection, Report
from paircomp.run_store import Run
from paircomp.run_store.calibrations import read_calibration
from paircomp.run_store.score_table import Judged, read_judged
from paircomp.scoring import Reading, ScoreTable, pair_values
from paircomp.scoring.training_judges import trained_on
from paircomp.statistics import summarize
from paircomp.suites import prompt_sha256
from paircomp.types import ImageKey, Suite

__all__ = ["TRUSTED_COVERAGE", "WORST_PAIRS", "build_official_report", "build_report", "due_notices", "grouped_reasons"]

#: Below this share of scored images the report's first line says so.
TRUSTED_COVERAGE = 0.98
#: How many pairs of lowest g a report lists.
WORST_PAIRS = 10
_REASONS_SHOWN = 20


def build_report(run: Run, suite: Suite, judge: str, pairs: Sequence[int], *, reading: Reading = "exclude") -> Report:
    """The report of one judge's scores (schema ``paircomp-report/1``, `docs/report.md`).

    Args:
        run: the run.
        suite: its pairs.
        judge: whose scores.
        pairs: positions of the pairs the report speaks of.
        reading: which reading of unscored images the headline shows; both are in the report.

    Raises:
        RunError: the judge has not judged this run.
    """
    judged = read_judged(run, suite, judge, pairs)
    identity = run.identity
    generator: dict[str, Any] = {
        "model": identity["model"],
        **without_folders({name: identity[name] for name in ("adapter", "checkpoint", "revision", "recipe")}),
        "seed": identity["run_seed"],
        "supports_seeds": bool(run.generator.get("seeded", True)),
        "trained_with_judge": run.manifest.get("trained_with_judge"),
    }
    report = _assemble(
        judged.table,
        suite,
        generator,
        {"name": judge, "identity": without_folders(run.judge(judge).identity)},
        reading,
        _reasons(judged),
    )
    _add_calibration(report, run, judge)
    _add_held_out(report, run, suite, judged)
    return report


def _add_calibration(report: Report, run: Run, judge: str) -> None:
    calibration = read_calibration(run, judge)
    if calibration is not None:
        report["calibration"] = calibration
        report["notices"] += [f"JUDGE {judge} IS DOUBTFUL: {warning}" for warning in calibration["warnings"]]


def _add_held_out(report: Report, run: Run, suite: Suite, judged: Judged) -> None:
    section = build_held_out(run, suite, judged.judge, judged.table, judged.pairs)
    if section is None:
        return
    if section["problem"] and not suite.prompts_public:  # what stopped that judge may quote any prompt
        section["problem"] = PublicReasons(suite)(section["problem"], ImageKey(0, 0, 0))
    section["problem"] = without_folders(section["problem"])
    report["held_out"] = cast("HeldOutSection", section)
    if notice := held_out_notice(section):
        below = (report["coverage"]["fraction"] or 0.0) < TRUSTED_COVERAGE
        report["notices"].insert(int(below), notice)  # too little coverage stays the first line


def build_official_report(table: ScoreTable, suite: Suite, *, source: str, reading: Reading = "exclude") -> Report:
    """The report of a score file made by the published evaluator, which holds scores and nothing else.

    Args:
        table: its scores.
        suite: the suite they belong to.
        source: the file's name.
        reading: which reading of unscored images the headline shows.
    """
    unknown = dict.fromkeys(("adapter", "checkpoint", "revision", "seed", "trained_with_judge"))
    generator: dict[str, Any] = {"model": source, "recipe": {}, "supports_seeds": False, **unknown}
    judge = {"name": "official-scores", "identity": {"file": source}}
    missing = ((ImageKey(*key), "no score in the file") for key in _unscored(table))
    report = _assemble(table, suite, generator, judge, reading, missing)
    if table.samples != suite.samples:
        report["notices"].append(
            f"K = {table.samples}, THE SUITE HAS {suite.samples}: s_g depends on K, and different K are never compared"
        )
    return report


def _assemble(
    table: ScoreTable, suite: Suite, generator: Mapping[str, Any], judge: Mapping[str, Any], reading: Reading,
    reasons: Iterator[tuple[ImageKey, str]],
) -> Report:  # fmt: skip
    coverage = _coverage(table, suite, reasons)
    statistics = summarize(table).to_json(reading)
    report = {
        "schema": REPORT_SCHEMA,
        "paircomp_version": __version__,
        "notices": due_notices(coverage, len(table.pairs), len(suite.pairs), generator, judge),
        "suite": {
            "name": suite.name, "digest": suite.digest, "pairs": len(suite.pairs), "selected_pairs": len(table.pairs),
            "partial": len(table.pairs) < len(suite.pairs), "subtasks": len(suite.subtasks), "samples": table.samples,
            "prompts_public": suite.prompts_public, "source": without_folders({"source": suite.source})["source"],
        },
        "generator": dict(generator),
        "judge": dict(judge),
        **statistics,
        "coverage": coverage,
        "worst_pairs": list(_worst_pairs(table, suite)),
    }  # fmt: skip
    return cast("Report", report)  # tests hold it against the schema


def _unscored(table: ScoreTable) -> Iterator[tuple[int, int, int]]:
    """(pair, prompt, sample) of the images without a score for their own prompt."""
    import numpy as np

    for row, prompt, sample in np.argwhere(np.isnan(table.own)).tolist():
        yield int(table.pairs[row]), prompt, sample


def _reasons(judged: Judged) -> Iterator[tuple[ImageKey, str]]:
    public = PublicReasons(judged.suite)
    for place in _unscored(judged.table):
        key = ImageKey(*place)
        yield key, without_folders(public(judged.reason(key), key))


def _coverage(table: ScoreTable, suite: Suite, reasons: Iterator[tuple[ImageKey, str]]) -> dict[str, Any]:
    import numpy as np

    per_pair = table.own[0].size if len(table.own) else 0
    images, unscored = Counter[str](), Counter[str]()
    missing = np.isnan(table.own).sum(axis=(1, 2))
    for subtask, lacking in zip(table.subtasks, missing.tolist(), strict=True):
        images[subtask] += per_pair
        unscored[subtask] += lacking
    total, lost = sum(images.values()), sum(unscored.values())
    return {
        "images": total, "scored": total - lost, "unscored": lost, "fraction": (total - lost) / total if total else 0.0,
        "by_subtask": {
            name: {"images": images[name], "scored": images[name] - unscored[name], "unscored": unscored[name]}
            for name in suite.subtasks if name in images
        },
        "reasons": grouped_reasons(reasons),
    }  # fmt: skip


def grouped_reasons(reasons: Iterable[tuple[ImageKey, str]]) -> list[dict[str, Any]]:
    """The reasons by frequency, each with its count and first image; rare ones beyond the list are summed up."""
    counts, first = Counter[str](), dict[str, str]()
    for key, reason in reasons:
        counts[reason] += 1
        first.setdefault(reason, key.filename)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [{"reason": reason, "count": count, "first": first[reason]} for reason, count in ranked[:_REASONS_SHOWN]]
    if rest := ranked[_REASONS_SHOWN:]:
        shown.append({"reason": f"{len(rest)} other reasons", "count": sum(count for _, count in rest),
                      "first": first[rest[0][0]]})  # fmt: skip
    return shown


def due_notices(
    coverage: Mapping[str, Any], selected: int, pairs: int, generator: Mapping[str, Any], judge: Mapping[str, Any]
) -> list[str]:
    """What a reader must know first: too few scores, a part of the suite only, a judge that trained the model.

    Args:
        coverage: the report's section.
        selected: number of pairs that the report speaks of.
        pairs: number of pairs in the suite.
        generator: the report's section.
        judge: the report's section.
    """
    notices = []
    fraction = coverage["fraction"] or 0.0
    if fraction < TRUSTED_COVERAGE:
        notices.append(
            f"COVERAGE {_percent(fraction)} (below {TRUSTED_COVERAGE:.0%}): "
            f"{coverage['unscored']} of {coverage['images']} images unscored"
        )
    if selected < pairs:
        notices.append(f"PARTIAL: {selected} of {pairs} pairs")
    trained_with = generator["trained_with_judge"]
    if trained_on(trained_with, judge["name"]):
        notices.append(f"TRAINED WITH THIS JUDGE: {trained_with} was this model's training reward")
    return notices


def _percent(fraction: float) -> str:
    """One decimal, rounded down, so that 97.96% never reads as 98.0%."""
    return f"{int(fraction * 1000) / 10:.1f}%"


def _worst_pairs(table: ScoreTable, suite: Suite) -> Iterator[dict[str, Any]]:
    values = pair_values(table, "exclude")
    order = sorted(range(len(values.pairs)), key=lambda row: (values.g[row], values.pairs[row]))
    for row in order[:WORST_PAIRS]:
        pair = suite.pairs[int(values.pairs[row])]
        yield {
            "pair": pair.pair,
            "pair_id": pair.pair_id,
            "subtask": pair.subtask,
            **{name: float(getattr(values, name)[row]) for name in ("a", "g", "gap")},
            "prompts": list(pair.prompts) if suite.prompts_public else None,
            "prompt_sha256": [prompt_sha256(prompt) for prompt in pair.prompts],
        }
