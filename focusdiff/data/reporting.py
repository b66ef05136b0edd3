"""What a build says of itself: the content of ``funnel.json``, from which card, page and tables are written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from focusdiff.data.building import BuildFolder
from focusdiff.data.dataset import FinishedPair
from focusdiff.data.funnel import FUNNEL_SCHEMA
from focusdiff.data.hygiene import Hygiene
from focusdiff.data.publishing import published
from focusdiff.data.records import Source
from paircomp import __version__

__all__ = ["Written", "contents", "opening"]

_OWN, _OTHER = ("score_1_1", "score_2_2"), ("score_2_1", "score_1_2")


class Written:
    """Counts what was written.

    Attributes:
        rows: with repeats, by subtask.
        licences: pairs by licence.
    """

    def __init__(self) -> None:
        self.rows: Counter[str] = Counter()
        self.licences: Counter[str] = Counter()
        self._own, self._other = _Spread(), _Spread()

    def count(self, pair: FinishedPair) -> None:
        """Count one pair."""
        self.rows[pair.subtask] += pair.repeats
        self.licences[pair.licence] += 1
        for names, spread in ((_OWN, self._own), (_OTHER, self._other)):
            for name in names:
                if name in pair.scores:
                    spread.add(pair.scores[name])

    def scores(self) -> dict[str, Any]:
        """Mean, least and most of the verifier's scores, of prompts on their own image and on the other one."""
        return {"own": self._own.to_json(), "other": self._other.to_json()}


class _Spread:
    """Mean and bounds of numbers that are not kept."""

    def __init__(self) -> None:
        self._count, self._sum = 0, 0.0
        self._least, self._most = float("inf"), float("-inf")

    def add(self, value: float) -> None:
        self._count, self._sum = self._count + 1, self._sum + value
        self._least, self._most = min(self._least, value), max(self._most, value)

    def to_json(self) -> dict[str, float] | None:
        if not self._count:
            return None
        said = {"mean": self._sum / self._count, "least": self._least, "most": self._most}
        return {name: round(value, 4) for name, value in said.items()}


def opening(source: Source, folder: BuildFolder) -> dict[str, Any]:
    """What the data was made of and by."""
    return {
        "schema": FUNNEL_SCHEMA, "made_by": f"focusdiff {__version__}", "source": source.name,
        "identity": published(folder.identity()),
    }  # fmt: skip


def contents(pairs: Mapping[str, int], written: Written, hygiene: Hygiene) -> dict[str, Any]:
    """What the data holds.

    Args:
        pairs: by subtask, in the fixed order.
        written: what became of them.
        hygiene: by which rules.
    """
    guard, balance, rows = hygiene.guard, hygiene.balance, written.rows
    subtasks = {
        name: {"pairs": count, "rows": rows[name], "share": rows[name] / rows.total(),
               "wanted": balance.shares.get(name)}
        for name, count in pairs.items()
    }  # fmt: skip
    return {
        "pairs": sum(pairs.values()), "rows": rows.total(), "subtasks": subtasks, "most_repeats": balance.most,
        "licences": dict(sorted(written.licences.items())), "scores": written.scores(),
        "guard": {
            "suites": list(guard.suites), "ngram": guard.ngram, "edits": guard.edits, "missing": list(guard.missing),
            "held_against": {name: {"prompts": len(index), "digest": guard.digests.get(name)}
                             for name, index in guard.indexes.items()},
        },
        "duplicates": {"kept": hygiene.keep_duplicates, "bits": hygiene.duplicate_bits,
                       "overlap": hygiene.duplicate_overlap},
    }  # fmt: skip
