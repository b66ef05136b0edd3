"""Entries: one folder a row of the leaderboard, checked wherever they are read.

``entry.json`` (schema ``paircomp-entry/1``, published as ``entry.schema.json``), ``pairs.jsonl`` (the scores of every
pair, one line each), ``thumbnails/{pair}_{prompt}_{sample}.webp`` where wanted, ``verification.json`` where somebody
verified a bundle of it. Entries are submissions: nothing in them is trusted beyond what is checked here.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from paircomp.errors import EntryError
from paircomp.report.schema import report_schema
from paircomp.runtime.files import disk_faults, write_atomically, write_json
from paircomp.runtime.json_schema import schema_faults
from paircomp.runtime.json_text import parse_json
from paircomp_leaderboard.swapping import cut_short

if TYPE_CHECKING:
    from paircomp.scoring import ScoreTable

__all__ = ["BADGES", "ENTRY_SCHEMA", "VERIFICATION_SCHEMA", "Entry", "entry_schema", "file_digests", "folder_name",
           "parse_pairs", "read_entries", "read_entry", "score_table", "write_entry"]  # fmt: skip

ENTRY_SCHEMA: Final = "paircomp-entry/1"
VERIFICATION_SCHEMA: Final = "paircomp-verification/1"
_TEXT: Final = {"type": "string"}
BADGES: Final[Mapping[str, str]] = {
    "verified arithmetic": "Every number follows from the judgements; the images were not judged again.",
    "re-judged sample": "A random sample of its images was judged again with the same scores.",
}
"""What a verified row may say beside its name, and what that means."""
_DIGEST: Final = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_VERIFICATION: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["schema", "badge", "checks"],
    "properties": {
        "schema": {"const": VERIFICATION_SCHEMA}, "badge": {"enum": list(BADGES)},
        "files": {"type": "object", "additionalProperties": _DIGEST},
        "checks": {"type": "array", "items": {
            "type": "object", "required": ["name", "outcome", "said"],
            "properties": {"name": _TEXT, "outcome": {"enum": ["passed", "failed", "skipped"]}, "said": _TEXT},
        }},
    },
}  # fmt: skip
_VERIFIED_FILES: Final = ("entry.json", "pairs.jsonl")
_MOST_BYTES: Final = 256 * 2**20
_HIDDEN: Final = re.compile(r"[._].*")


def entry_schema() -> dict[str, Any]:
    """The published JSON Schema (draft 2020-12) of ``entry.json``."""
    text = resources.files("paircomp_leaderboard").joinpath("entry.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def folder_name(label: str, suite: str, judge: str) -> str:
    """``<model>--<suite>--<judge>``, with characters that folders and addresses cannot have replaced.

    Example:
        >>> folder_name("Owner/Model 1", "shapes", "pixels")
        'Owner-Model-1--shapes--pixels'
    """
    return "--".join(re.sub(r"[^A-Za-z0-9._+]+", "-", part).strip("-.") or "model" for part in (label, suite, judge))


@dataclass(frozen=True)
class Entry:
    """A row: what ``entry.json`` says, and the scores of its pairs where it was measured.

    Attributes:
        name: its folder's name, stable in addresses.
        said: the content of ``entry.json``.
        pairs: the lines of ``pairs.jsonl``; empty for author-reported rows.
        path: its folder; ``None`` for rows that ship with the package.
        verification: the content of ``verification.json``, where there is one and the entry is still what was verified.
        lapsed: why a verification no longer counts; empty where none was lost.
    """

    name: str
    said: Mapping[str, Any]
    pairs: Sequence[Mapping[str, Any]] = ()
    path: Path | None = None
    verification: Mapping[str, Any] | None = None
    lapsed: str = ""

    @property
    def label(self) -> str:
        """What tables call it."""
        return str(self.said["label"])

    @property
    def measured(self) -> bool:
        """Whether PairComp judged its images, so that it has scores by pair."""
        return bool(self.said["provenance"] != "author-reported")

    @cached_property
    def table(self) -> ScoreTable:
        """Scores of its pairs."""
        return score_table(self.pairs)


def score_table(pairs: Sequence[Mapping[str, Any]]) -> ScoreTable:
    """The array of scores behind the lines of ``pairs.jsonl``, sorted by pair; null becomes NaN.

    Raises:
        ValueError: shapes that do not fit each other, or scores outside [0, 1].
    """
    import numpy as np

    from paircomp.scoring import ScoreTable

    pairs = sorted(pairs, key=lambda pair: int(pair["pair"]))
    scores = np.array([pair["scores"] for pair in pairs], dtype=np.float64)  # [P, T, K, T]
    log_odds = np.full(scores.shape, np.nan)
    for row, pair in enumerate(pairs):
        if pair.get("log_odds") is not None:
            log_odds[row] = np.array(pair["log_odds"], dtype=np.float64)
    return ScoreTable(
        pairs=np.array([pair["pair"] for pair in pairs], dtype=int),
        subtasks=tuple(pair["subtask"] for pair in pairs),
        scores=scores,
        log_odds=log_odds,
    )


def write_entry(folder: Path, said: Mapping[str, Any], pairs: Sequence[Mapping[str, Any]]) -> None:
    """Write ``entry.json`` and ``pairs.jsonl``."""
    lines = (json.dumps(pair, ensure_ascii=False, separators=(",", ":"), allow_nan=False) for pair in pairs)
    with disk_faults(folder):
        write_atomically(folder / "pairs.jsonl", "".join(f"{line}\n" for line in lines).encode())
        write_json(folder / "entry.json", said)


def read_entries(folder: Path) -> list[Entry]:
    """Every entry below `folder`, by name.

    Raises:
        EntryError: the folder is none, holds no entry, or any entry has faults; all of them are named.
    """
    if not folder.is_dir():
        raise EntryError(folder, ["expected a folder of entries; next: paircomp leaderboard add RUN --entries DIR"])
    entries: list[Entry] = []
    faults = [f"{name}: was taken out when a command that replaced it was killed; next: run that command again"
              for name in cut_short(folder)]  # fmt: skip
    for path in sorted(path for path in folder.iterdir() if path.is_dir() and not _HIDDEN.fullmatch(path.name)):
        try:
            entries.append(read_entry(path))
        except EntryError as error:
            faults += [f"{path.name}: {fault}" for fault in error.faults]
    if faults:
        raise EntryError(folder, faults)
    if not entries:
        raise EntryError(folder, ["holds no entry; next: paircomp leaderboard add RUN --entries DIR"])
    return entries


def read_entry(path: Path) -> Entry:
    """One entry.

    Raises:
        EntryError: not an entry, or one with faults; all of them are named.
    """
    said = _read_json(path / "entry.json", path)
    faults = entry_faults(said)
    pairs: list[dict[str, Any]] = []
    if not faults and said["provenance"] != "author-reported":
        pairs, faults = parse_pairs(_bytes(path / "pairs.jsonl", path), said["suite"])
    if faults:
        raise EntryError(path, faults)
    verification, lapsed = _read_verification(path)
    return Entry(path.name, said, pairs, path, verification, lapsed)


def file_digests(path: Path) -> dict[str, str]:
    """SHA-256 of the files of an entry that a verification speaks of."""
    files = (name for name in _VERIFIED_FILES if (path / name).is_file())
    return {name: hashlib.sha256(_bytes(path / name, path)).hexdigest() for name in files}


def _read_verification(path: Path) -> tuple[dict[str, Any] | None, str]:
    """The verification of an entry, or why it no longer counts."""
    proof = path / "verification.json"
    if not proof.is_file():
        return None, ""
    verification = _read_json(proof, path)
    if faults := schema_faults(verification, _VERIFICATION):
        raise EntryError(path, [f"verification.json: {fault}" for fault in faults])
    if "files" not in verification:
        return None, "it does not name the files that were verified; next: verify its bundle again with --entries"
    verified, now = verification["files"], file_digests(path)
    changed = [name for name in _VERIFIED_FILES if name not in verified or verified[name] != now.get(name)]
    if changed:
        return None, f"{' and '.join(changed)} changed since; next: verify its bundle again with --entries"
    return verification, ""


def entry_faults(said: object) -> list[str]:
    """What is wrong with the content of an ``entry.json``."""
    faults = schema_faults(said, entry_schema())
    if not faults and isinstance(said, dict) and "report" in said:
        faults = [f"report.{fault}" for fault in schema_faults(said["report"], report_schema())]
        faults = faults or list(_disagreements(said))
    return faults


def _disagreements(said: Mapping[str, Any]) -> Iterator[str]:
    """Where the entry says one thing and the report in it another."""
    report = said["report"]
    for name in ("name", "digest", "pairs", "samples", "prompts_public"):
        if said["suite"][name] != report["suite"][name]:
            yield f"suite.{name} is {said['suite'][name]!r}, in the report {report['suite'][name]!r}"
    if said["judge"] != {name: report["judge"].get(name) for name in ("name", "identity")}:
        yield "judge differs from the report's"
    if said["trained_with_judge"] != report["generator"]["trained_with_judge"]:
        yield "trained_with_judge differs from the report's"


def parse_pairs(content: bytes, suite: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """The lines of a ``pairs.jsonl``, and what is wrong with them by line.

    Args:
        content: of the file.
        suite: the entry's ``suite``: gives K and the number of pairs.
    """
    pairs: list[dict[str, Any]] = []
    faults: list[str] = []
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            pair = parse_json(line)
        except ValueError as error:
            faults.append(f"pairs.jsonl line {number}: not JSON ({str(error)[:80]})")
            continue
        problem = _pair_fault(pair, suite)
        if problem:
            faults.append(f"pairs.jsonl line {number}: {problem}")
        pairs.append(pair)
    if not faults and len({pair["pair"] for pair in pairs}) < len(pairs):
        faults.append("pairs.jsonl: a pair occurs twice")
    if not faults and len({len(pair["scores"]) for pair in pairs}) != 1:
        faults.append("pairs.jsonl: expected pairs with the same number of prompts, at least one pair")
    return pairs, faults


_PAIR: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["pair", "pair_id", "subtask", "prompts", "prompt_sha256", "scores", "images", "unscored"],
    "properties": {
        "pair": {"type": "integer", "minimum": 0},
        "pair_id": {"type": "string"},
        "subtask": {"type": "string", "minLength": 1},
        "prompts": {"oneOf": [{"type": "null"}, {"type": "array", "items": {"type": "string"}}]},
        "prompt_sha256": {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": "^[0-9a-f]{64}$"}},
        "scores": {"type": "array"},
        "images": {"type": "array", "items": {"type": "array", "items": {"type": ["string", "null"]}}},
        "unscored": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["prompt", "sample", "reason"],
                "properties": {
                    "prompt": {"type": "integer"}, "sample": {"type": "integer"}, "reason": {"type": "string"},
                },
            },
        },
    },
}  # fmt: skip


def _pair_fault(pair: object, suite: Mapping[str, Any]) -> str:
    faults = schema_faults(pair, _PAIR)
    if faults or not isinstance(pair, dict):
        return "; ".join(faults)
    prompts, samples = len(pair["prompt_sha256"]), suite["samples"]
    tests = (
        (pair["pair"] >= suite["pairs"], f"pair {pair['pair']} is not in a suite of {suite['pairs']} pairs"),
        (pair["prompts"] is not None and len(pair["prompts"]) != prompts, "prompts and prompt_sha256 differ in length"),
        (_shape(pair["images"]) != (prompts, samples), f"images: expected {prompts} x {samples} fingerprints"),
        (not _fits(pair["scores"], prompts, samples, 0.0, 1.0),
         f"scores: expected {prompts} x {samples} x {prompts} numbers in [0, 1] or null"),
        (pair.get("log_odds") is not None and not _fits(pair["log_odds"], prompts, samples, -math.inf, math.inf),
         f"log_odds: expected {prompts} x {samples} x {prompts} numbers"),
    )  # fmt: skip
    return next((fault for found, fault in tests if found), "")


def _fits(numbers: Any, prompts: int, samples: int, low: float, high: float) -> bool:
    """Whether it is an array [T, K, T] of numbers within bounds, or null."""
    if _shape(numbers) != (prompts, samples, prompts):
        return False
    return all(number is None or _is_within(number, low, high)
               for image in numbers for sample in image for number in sample)  # fmt: skip


def _shape(value: object) -> tuple[int, ...] | None:
    """The shape of nested lists; ``None`` where they are ragged."""
    if not isinstance(value, list):
        return ()
    shapes = {_shape(item) for item in value}
    inner = shapes.pop() if len(shapes) == 1 else None
    return None if inner is None else (len(value), *inner)


def _is_within(number: object, low: float, high: float) -> bool:
    return isinstance(number, (int, float)) and not isinstance(number, bool) and low <= number <= high


def _bytes(file: Path, entry: Path) -> bytes:
    if not file.is_file():
        raise EntryError(entry, [f"{file.name} is missing; next: paircomp leaderboard add RUN --entries DIR"])
    if file.stat().st_size > _MOST_BYTES:
        raise EntryError(entry, [f"{file.name} is larger than {_MOST_BYTES // 2**20} MiB"])
    with disk_faults(file):
        return file.read_bytes()


def _read_json(file: Path, entry: Path) -> dict[str, Any]:
    try:
        said = parse_json(_bytes(file, entry))
    except ValueError as error:
        raise EntryError(entry, [f"{file.name} is not JSON ({str(error)[:80]})"]) from error
    if not isinstance(said, dict):
        raise EntryError(entry, [f"{file.name}: expected an object, got {type(said).__name__}"])
    return said
