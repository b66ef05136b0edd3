"""The score file of the published evaluator.

``{"0": [{"pair_idx": 0, "prompt_idx": 0, "image_idx": 0, "score": 0.7338}, ...], "1": ...}``: own scores only, one
entry for each image. An unscored image has no entry; reading accepts NaN and null as well: the published evaluator
prints NaN where neither yes nor no was among the tokens it kept.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from paircomp.errors import RunError
from paircomp.scoring.pairs import ScoreTable
from paircomp.types import PromptPair

__all__ = ["official_scores_json", "read_official_scores", "write_official_scores"]

_FIELDS = ("pair_idx", "prompt_idx", "image_idx", "score")
_POSITION = re.compile(r"0|[1-9]\d{0,8}")
_FAULTS_SHOWN = 20
_MOST_SAMPLES = 1000  # a wild image_idx must not ask for terabytes

_Entry = tuple[int, int, int, float]


def read_official_scores(path: str | PathLike[str], suite_pairs: Sequence[PromptPair]) -> ScoreTable:
    """The scores of a file made by the published evaluator.

    Args:
        path: the JSON file.
        suite_pairs: all pairs of the suite; ``pair_idx`` is the position in it. Pairs that the file lacks are unscored.

    Returns:
        ``scores [P, T, K, T]`` with K = the largest ``image_idx`` + 1; cross scores are NaN.

    Raises:
        RunError: the file cannot be read or is not such a file; names every fault at once.
    """
    faults: list[str] = []
    entries = list(_entries(_load(Path(path)), suite_pairs, faults))
    if not entries and not faults:
        faults.append("it holds no scores")
    if faults:
        shown = "; ".join(faults[:_FAULTS_SHOWN])
        more = f"; and {len(faults) - _FAULTS_SHOWN} more" if len(faults) > _FAULTS_SHOWN else ""
        raise RunError(path, f"not an official score file for this suite: {shown}{more}")
    prompts = max(len(pair.prompts) for pair in suite_pairs)
    samples = 1 + max(entry[2] for entry in entries)
    scores = np.full((len(suite_pairs), prompts, samples, prompts), np.nan)
    for pair, prompt, sample, score in entries:
        scores[pair, prompt, sample, prompt] = score
    return ScoreTable(np.arange(len(suite_pairs)), tuple(pair.subtask for pair in suite_pairs), scores)


def official_scores_json(table: ScoreTable) -> str:
    """The own scores of `table` as such a file, unrounded, sorted by pair; an unscored image is left out, never 0."""
    own = table.own
    contents: dict[str, list[dict[str, Any]]] = {}
    for row in np.argsort(table.pairs).tolist():
        pair = int(table.pairs[row])
        entries = [
            {"pair_idx": pair, "prompt_idx": prompt, "image_idx": sample, "score": float(score)}
            for (prompt, sample), score in np.ndenumerate(own[row])
            if not math.isnan(score)
        ]
        if entries:
            contents[str(pair)] = entries
    return json.dumps(contents) + "\n"


def write_official_scores(path: str | PathLike[str], table: ScoreTable) -> None:
    """Write `official_scores_json` to a file.

    Raises:
        RunError: the file cannot be written.
    """
    try:
        Path(path).write_text(official_scores_json(table), encoding="utf-8")
    except OSError as error:
        raise RunError(path, f"cannot be written: {error.strerror or error}") from error


def _load(path: Path) -> dict[str, Any]:
    try:
        contents = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_unique_keys)
    except OSError as error:
        raise RunError(path, f"cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise RunError(path, f"not JSON that can be read: {error}") from error
    if not isinstance(contents, dict):
        raise RunError(path, f"expected an object of pairs, got {type(contents).__name__}")
    return contents


def _unique_keys(items: list[tuple[str, Any]]) -> dict[str, Any]:
    contents = dict(items)
    if len(contents) < len(items):
        keys = [key for key, _ in items]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key {twice!r} occurs more than once in one object")
    return contents


def _entries(contents: dict[str, Any], suite_pairs: Sequence[PromptPair], faults: list[str]) -> Iterator[_Entry]:
    """The entries that are sound; what is wrong with the others goes to `faults`."""
    for key, rows in contents.items():
        if not _POSITION.fullmatch(key) or int(key) >= len(suite_pairs):
            faults.append(f"pair {key!r}: expected a position from 0 to {len(suite_pairs) - 1}")
        elif not isinstance(rows, list):
            faults.append(f"pair {key}: expected a list of scores, got {type(rows).__name__}")
        else:
            yield from _pair_entries(int(key), len(suite_pairs[int(key)].prompts), rows, faults)


def _pair_entries(pair: int, prompts: int, rows: list[Any], faults: list[str]) -> Iterator[_Entry]:
    seen: set[tuple[int, int]] = set()
    for number, row in enumerate(rows):
        problem = _entry_fault(row, pair, prompts)
        if problem is None and (row["prompt_idx"], row["image_idx"]) in seen:
            problem = f"image {row['prompt_idx']}, {row['image_idx']} occurs more than once"
        if problem is not None:
            faults.append(f"pair {pair}, entry {number}: {problem}")
            continue
        seen.add((row["prompt_idx"], row["image_idx"]))
        score = math.nan if row["score"] is None else float(row["score"])
        yield pair, row["prompt_idx"], row["image_idx"], score


def _entry_fault(row: object, pair: int, prompts: int) -> str | None:
    if not isinstance(row, dict) or set(row) != set(_FIELDS):
        return f"expected an object with {', '.join(_FIELDS)}, got {json.dumps(row)[:80]}"
    if not _is_index(row["pair_idx"]) or row["pair_idx"] != pair:
        return f"pair_idx must be {pair}, got {row['pair_idx']!r}"
    if not _is_index(row["prompt_idx"]) or row["prompt_idx"] >= prompts:
        return f"prompt_idx must be from 0 to {prompts - 1}, got {row['prompt_idx']!r}"
    if not _is_index(row["image_idx"]) or row["image_idx"] >= _MOST_SAMPLES:
        return f"image_idx must be from 0 to {_MOST_SAMPLES - 1}, got {row['image_idx']!r}"
    if not _is_score(row["score"]):
        return f"score must lie in [0, 1], got {row['score']!r}"
    return None


def _is_index(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_score(value: object) -> bool:
    """A number in [0, 1]; NaN and null stand for an unscored image."""
    if value is None:
        return True
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isnan(value) or 0 <= value <= 1
