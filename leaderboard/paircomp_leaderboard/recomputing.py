"""Computing every number of an entry again from its scores, and naming those that differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from paircomp.errors import EntryError
from paircomp.report.build import TRUSTED_COVERAGE
from paircomp_leaderboard.entries import Entry
from paircomp_leaderboard.recording import NO_VALUES, values_by_pair

__all__ = ["pair_faults", "refuse_wrong_sums", "summary_faults"]

_TOLERANCE: Final = 1e-9
_INTERVAL_TOLERANCE: Final = 1e-6  # bootstraps add thousands of terms; platforms add them in their own order
_MOST: Final = 20
_STANDARD: Final = {"level": 0.95, "draws": 10_000, "seed": 0}


def summary_faults(entry: Entry) -> list[str]:
    """Numbers of the report that do not follow from the scores of the entry's pairs; at most 20."""
    from paircomp.statistics import summarize

    report = entry.said["report"]
    asked = {name: report["interval"].get(name) for name in _STANDARD}
    if asked != _STANDARD:
        return [f"report.interval: expected {_STANDARD}, got {asked}"]
    fresh = summarize(entry.table).to_json(report["unscored_reading"])
    faults = [*_coverage_faults(entry, report), *_notice_faults(entry, report), *_worst_faults(entry, report)]
    for name, value in fresh.items():
        faults += _differences(report.get(name), value, f"report.{name}")
    return faults[:_MOST]


def pair_faults(entry: Entry) -> list[str]:
    """Lines of ``pairs.jsonl`` whose a, g, passed or margin do not follow from their scores; at most 20."""
    values = values_by_pair(entry.table)
    faults: list[str] = []
    for pair in entry.pairs:
        fresh = values.get(pair["pair"], NO_VALUES)
        faults += _differences({name: pair.get(name) for name in fresh}, fresh, f"pair {pair['pair']}")
    return faults[:_MOST]


def _differences(said: Any, fresh: Any, place: str) -> Iterator[str]:
    if isinstance(fresh, Mapping) and isinstance(said, Mapping):
        for name, value in fresh.items():
            yield from _differences(said.get(name), value, f"{place}.{name}")
    elif isinstance(fresh, Sequence) and not isinstance(fresh, str) and isinstance(said, Sequence):
        if len(said) != len(fresh):
            yield f"{place}: expected {len(fresh)} values, got {len(said)}"
            return
        for number, value in enumerate(fresh):
            yield from _differences(said[number], value, f"{place}[{number}]")
    elif not _same(said, fresh, _INTERVAL_TOLERANCE if ".ci." in place else _TOLERANCE):
        yield f"{place} says {_shown(said)}, its scores give {_shown(fresh)}"


def _same(said: Any, fresh: Any, tolerance: float) -> bool:
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in (said, fresh))
    return bool(abs(said - fresh) <= tolerance if numbers else said == fresh)


def _shown(value: Any) -> str:
    return f"{value:.9g}" if isinstance(value, float) else str(value)[:40]


def _coverage_faults(entry: Entry, report: Mapping[str, Any]) -> Iterator[str]:
    import numpy as np

    own = entry.table.own
    unscored = int(np.isnan(own).sum())
    fraction = (own.size - unscored) / own.size
    fresh: dict[str, Any] = {
        "images": own.size,
        "scored": own.size - unscored,
        "unscored": unscored,
        "fraction": fraction,
    }
    by_subtask = {}
    for name in entry.table.subtask_names:
        part = own[np.array([subtask == name for subtask in entry.table.subtasks])]
        lacking = int(np.isnan(part).sum())
        by_subtask[name] = {"images": part.size, "scored": part.size - lacking, "unscored": lacking}
    yield from _differences(report["coverage"], {**fresh, "by_subtask": by_subtask}, "report.coverage")
    suite = {"selected_pairs": len(entry.pairs), "partial": len(entry.pairs) < entry.said["suite"]["pairs"],
             "samples": entry.table.samples}  # fmt: skip
    yield from _differences(report["suite"], suite, "report.suite")
    listed = sum(len(pair["unscored"]) for pair in entry.pairs)
    if listed != unscored:
        yield f"pairs.jsonl gives reasons for {listed} unscored images, {unscored} have no score"


def _notice_faults(entry: Entry, report: Mapping[str, Any]) -> Iterator[str]:
    """What a reader must know first may not be left out."""
    due = []
    if (report["coverage"]["fraction"] or 0.0) < TRUSTED_COVERAGE:
        due.append("COVERAGE")
    if len(entry.pairs) < entry.said["suite"]["pairs"]:
        due.append("PARTIAL")
    if entry.said["trained_with_judge"] == entry.said["judge"]["name"]:
        due.append("TRAINED")
    for word in due:
        if not any(notice.startswith(word) for notice in report["notices"]):
            yield f"report.notices lacks the one that begins with {word}"


def _worst_faults(entry: Entry, report: Mapping[str, Any]) -> Iterator[str]:
    values = values_by_pair(entry.table)
    order = sorted(values, key=lambda pair: (values[pair]["g"], pair))[: len(report["worst_pairs"])]
    said = [{name: pair[name] for name in ("pair", "a", "g")} for pair in report["worst_pairs"]]
    fresh = [{"pair": pair, "a": values[pair]["a"], "g": values[pair]["g"]} for pair in order]
    yield from _differences(said, fresh, "report.worst_pairs")


def refuse_wrong_sums(entries: Sequence[Entry], folder: Path) -> None:
    """Compute every measured entry's numbers again.

    Raises:
        EntryError: some do not follow from the scores of their pairs.
    """
    faults = [f"{entry.name}: {fault}" for entry in entries if entry.measured
              for fault in (*summary_faults(entry), *pair_faults(entry))]  # fmt: skip
    if faults:
        raise EntryError(folder, faults)
