"""From a finished run to an entry of the leaderboard."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from paircomp.errors import EntryError
from paircomp.types import ImageKey
from paircomp_leaderboard.entries import ENTRY_SCHEMA, Entry, folder_name, read_entry, write_entry
from paircomp_leaderboard.swapping import swapped_in

if TYPE_CHECKING:
    from paircomp.evaluation import EvaluatedRun
    from paircomp.report.reasons import PublicReasons
    from paircomp.run_store.score_table import Judged
    from paircomp.scoring import ScoreTable

__all__ = ["NO_VALUES", "add_entry", "entry_of", "pair_lines", "values_by_pair"]

THUMBNAIL_EDGE: Final = 256
NO_VALUES: Final[Mapping[str, Any]] = {"a": None, "g": None, "passed": None, "margin": None}
"""Of a pair that lacks a score."""


def add_entry(
    evaluated: EvaluatedRun, entries: Path, *, judge: str | None = None, label: str | None = None,
    include_prompts: bool = False, thumbnails: bool = True, replace: bool = False,
) -> Entry:  # fmt: skip
    """Write the entry of a run below `entries` and read it back.

    Args:
        evaluated: the run.
        entries: the folder of entries.
        judge: whose scores; default the run's only judge or the suite's own.
        label: what tables call it; default the run's model.
        include_prompts: hold the texts of a suite whose prompts are not public.
        thumbnails: hold small WebP copies of the images.
        replace: put it in the place of an entry of the same name.

    Raises:
        EntryError: there is an entry of that name already.
        PairCompError: the run cannot be read, or was not judged.
    """
    name = evaluated.judge_name(judge)
    said, judged = entry_of(evaluated, name, label=label)
    path = entries / folder_name(said["label"], said["suite"]["name"], name)
    if path.exists() and not replace:
        raise EntryError(path, ["exists already; next: --replace, or another --name"])
    public = include_prompts or said["suite"]["prompts_public"]
    with swapped_in(path) as fresh:
        if thumbnails:
            from paircomp_leaderboard.thumbnails import write_thumbnails

            said["thumbnails"] = {"edge": THUMBNAIL_EDGE, "count": write_thumbnails(judged, fresh, THUMBNAIL_EDGE)}
        write_entry(fresh, said, list(pair_lines(judged, include_prompts=public)))
    return read_entry(path)


def entry_of(evaluated: EvaluatedRun, judge: str, *, label: str | None = None) -> tuple[dict[str, Any], Judged]:
    """What ``entry.json`` says of a run, without thumbnails, and the scores behind it."""
    from paircomp.run_store.score_table import read_judged

    report = evaluated.report(judge)
    said: dict[str, Any] = {
        "schema": ENTRY_SCHEMA,
        "label": label or report["generator"]["model"],
        "provenance": "re-judged" if report["generator"]["adapter"] == "images" else "measured",
        "source": None,
        "suite": {name: report["suite"][name]
                  for name in ("name", "digest", "pairs", "samples", "prompts_public")},
        "judge": {"name": judge, "identity": report["judge"]["identity"]},
        "trained_with_judge": report["generator"]["trained_with_judge"],
        "report": dict(report),
        "made_with": _made_with(evaluated),
        "thumbnails": None,
    }  # fmt: skip
    return said, read_judged(evaluated.run, evaluated.suite, judge, evaluated.pairs())


def _made_with(evaluated: EvaluatedRun) -> dict[str, Any]:
    """Versions, machine and speed of the step that drew the images; no host, no paths."""
    steps = evaluated.run.manifest["invocations"]
    drawn = next((step for step in reversed(steps) if step["step"] == "generate"), steps[-1] if steps else {})
    seconds = [record["seconds"] for record in evaluated.run.image_records.read() if record.get("seconds")]
    return {
        "date": str(drawn["started"])[:10] if drawn else None,
        "versions": drawn.get("versions", {}),
        "device": drawn.get("device"),
        "machine": drawn.get("machine"),
        "images_per_second": len(seconds) / math.fsum(seconds) if seconds else None,
    }


def pair_lines(judged: Judged, *, include_prompts: bool, raw_reasons: bool = False) -> Iterator[dict[str, Any]]:
    """The lines of ``pairs.jsonl``: every score of a pair, its values, and which images lack one and why.

    Args:
        judged: the scores.
        include_prompts: hold the prompts themselves.
        raw_reasons: leave reasons as they were recorded, with the prompts that they quote; otherwise they are worded
            as in the report, so that its counts follow from these lines.
    """
    from paircomp.report.reasons import PublicReasons
    from paircomp.suites import prompt_sha256

    values = values_by_pair(judged.table)
    worded = None if raw_reasons else PublicReasons(judged.suite)
    for row, position in enumerate(judged.pairs):
        pair = judged.suite.pairs[position]
        line: dict[str, Any] = {
            "pair": position,
            "pair_id": pair.pair_id,
            "subtask": pair.subtask,
            "prompts": list(pair.prompts) if include_prompts else None,
            "prompt_sha256": [prompt_sha256(prompt) for prompt in pair.prompts],
            "scores": _nullable(judged.table.scores[row].tolist()),
            **values.get(position, NO_VALUES),
            "images": _fingerprints(judged, position, len(pair.prompts)),
            "unscored": list(_unscored(judged, row, worded)),
        }
        odds = judged.table.log_odds
        if odds is not None and not _has_nan(odds[row]):
            line["log_odds"] = _nullable(odds[row].tolist())
        yield line


def _has_nan(numbers: Any) -> bool:
    import numpy as np

    return bool(np.isnan(numbers).any())


def _nullable(value: Any) -> Any:
    if isinstance(value, list):
        return [_nullable(item) for item in value]
    return None if value != value else value  # noqa: PLR0124 - NaN


def values_by_pair(table: ScoreTable) -> dict[int, dict[str, Any]]:
    """Position -> a, g, passed and margin (None without cross scores) of the pairs that are wholly scored."""
    from paircomp.scoring import contrast_values, pair_values

    values, contrast = pair_values(table), contrast_values(table)
    found: dict[int, dict[str, Any]] = {
        int(pair): {"a": float(values.a[row]), "g": float(values.g[row]), "passed": bool(values.passed[row]),
                    "margin": None}
        for row, pair in enumerate(values.pairs)
    }  # fmt: skip
    if contrast is not None:
        for row, pair in enumerate(contrast.pairs):
            found[int(pair)]["margin"] = float(contrast.margin[row])
    return found


def _fingerprints(judged: Judged, pair: int, prompts: int) -> list[list[str | None]]:
    """First 64 bits of the SHA-256 of each image file, null where there is none."""
    from paircomp.run_store import ImageState

    images = judged.images
    return [
        [f"{int(images.tag[pair, prompt, sample]):016x}" if images.state[pair, prompt, sample] == ImageState.DRAWN
         else None for sample in range(judged.suite.samples)]
        for prompt in range(prompts)
    ]  # fmt: skip


def _unscored(judged: Judged, row: int, worded: PublicReasons | None) -> Iterator[dict[str, Any]]:
    import numpy as np

    for prompt, sample in np.argwhere(np.isnan(judged.table.own[row])).tolist():
        key = ImageKey(judged.pairs[row], prompt, sample)
        reason = judged.reason(key)
        yield {"prompt": prompt, "sample": sample, "reason": worded(reason, key) if worded else reason}
