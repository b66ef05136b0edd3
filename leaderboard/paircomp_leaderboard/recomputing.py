"""Computing every number of an entry again from its scores, and naming those that differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from paircomp.errors import EntryError
from paircomp.report.build import WORST_PAIRS, due_notices, grouped_reasons
from paircomp.report.held_out import held_out_notice
from paircomp.types import ImageKey
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
    faults = [*_coverage_faults(entry, report), *_notice_faults(entry, report), *_worst_faults(entry, report),
              *_held_out_faults(entry, report)]  # fmt: skip
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
        for name in said.keys() - fresh.keys():
            yield f"{place} holds {name!r:.60}, which does not follow from the scores"
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
    return f"{value:.9g}" if isinstance(value, float) else str(value)[:160]


def _coverage_faults(entry: Entry, report: Mapping[str, Any]) -> Iterator[str]:
    import numpy as np

    own = entry.table.own
    unscored = int(np.isnan(own).sum())
    fraction = (own.size - unscored) / own.size
    by_subtask = {}
    for name in entry.table.subtask_names:
        part = own[np.array([subtask == name for subtask in entry.table.subtasks])]
        lacking = int(np.isnan(part).sum())
        by_subtask[name] = {"images": part.size, "scored": part.size - lacking, "unscored": lacking}
    fresh = {
        "images": own.size, "scored": own.size - unscored, "unscored": unscored, "fraction": fraction,
        "by_subtask": by_subtask, "reasons": grouped_reasons(_reasons(entry)),
    }  # fmt: skip
    yield from _differences(report["coverage"], fresh, "report.coverage")
    suite = {"selected_pairs": len(entry.pairs), "partial": len(entry.pairs) < entry.said["suite"]["pairs"],
             "samples": entry.table.samples}  # fmt: skip
    yield from _differences({name: report["suite"][name] for name in suite}, suite, "report.suite")
    listed = sorted((key.pair, key.prompt, key.sample) for key, _ in _reasons(entry))
    rows = np.argwhere(np.isnan(own)).tolist()
    if listed != [(int(entry.table.pairs[row]), prompt, sample) for row, prompt, sample in rows]:
        yield f"pairs.jsonl gives reasons for {len(listed)} images, which are not the {unscored} without a score"


def _reasons(entry: Entry) -> list[tuple[ImageKey, str]]:
    """Why images have no score, in the order of the suite."""
    found = [(ImageKey(pair["pair"], lack["prompt"], lack["sample"]), lack["reason"])
             for pair in entry.pairs for lack in pair["unscored"]]  # fmt: skip
    return sorted(found, key=lambda item: (item[0].pair, item[0].prompt, item[0].sample))


def _notice_faults(entry: Entry, report: Mapping[str, Any]) -> Iterator[str]:
    """What a reader must know first may not be left out, and nothing else may be put there."""
    fresh = due_notices(
        report["coverage"], len(entry.pairs), entry.said["suite"]["pairs"], report["generator"], report["judge"]
    )
    doubts = report.get("calibration", {}).get("warnings")
    if not isinstance(doubts, list):
        doubts = []
    fresh += [f"JUDGE {entry.said['judge']['name']} IS DOUBTFUL: {warning}" for warning in doubts]
    if notice := held_out_notice(report.get("held_out")):
        fresh.append(notice)
    # Only which notices there are is held against the scores: their order says nothing.
    yield from (f"report.notices lacks {notice!r}" for notice in fresh if notice not in report["notices"])
    yield from (f"report.notices says {said!r:.160}, which does not follow from the scores"
                for said in report["notices"] if said not in fresh)  # fmt: skip


def _worst_faults(entry: Entry, report: Mapping[str, Any]) -> Iterator[str]:
    values = values_by_pair(entry.table)
    lines = {pair["pair"]: pair for pair in entry.pairs}
    fresh = []
    for place in sorted(values, key=lambda pair: (values[pair]["g"], pair))[:WORST_PAIRS]:
        pair, a, g = lines[place], values[place]["a"], values[place]["g"]
        shown = {name: pair[name] for name in ("pair", "pair_id", "subtask", "prompt_sha256")}
        prompts = pair["prompts"] if entry.said["suite"]["prompts_public"] else None
        fresh.append({**shown, "a": a, "g": g, "gap": a - g, "prompts": prompts})
    yield from _differences(report["worst_pairs"], fresh, "report.worst_pairs")


def _held_out_faults(entry: Entry, report: Mapping[str, Any]) -> Iterator[str]:
    """The second judge's scores are not in an entry; what can be known is whether there should be a second opinion."""
    section, trained_with = report.get("held_out"), entry.said["trained_with_judge"]
    if section is not None and section["trained_with_judge"] != trained_with:
        yield f"report.held_out: trained_with_judge is {section['trained_with_judge']!r}, in the entry {trained_with!r}"
    if section is None and trained_with is not None and trained_with == entry.said["judge"]["name"]:
        yield f"report.held_out is missing, although judge {trained_with!r} was this model's training reward"


def refuse_wrong_sums(entries: Sequence[Entry], folder: Path) -> None:
    """Compute every measured entry's numbers again.

    Raises:
        EntryError: some do not follow from the scores of their pairs.
    """
    faults = [f"{entry.name}: {fault}" for entry in entries if entry.measured
              for fault in (*summary_faults(entry), *pair_faults(entry))]  # fmt: skip
    if faults:
        raise EntryError(folder, faults)
