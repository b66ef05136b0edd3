"""The numbers that the paper's authors report, as entries: shown greyed, never ranked, in a table of their own."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

from paircomp_leaderboard.entries import ENTRY_SCHEMA, Entry, folder_name

__all__ = ["published_entries"]


@cache
def published_entries() -> tuple[Entry, ...]:
    """The 19 rows of Table 1 of the paper (FocusDiff, arXiv 2506.05501), in its order.

    ``table1.json`` holds percent with one decimal, as printed: s_a, then s_g. Whoever trained with the judge's score
    (section 3.2) says so.
    """
    text = resources.files("paircomp_leaderboard").joinpath("table1.json").read_text(encoding="utf-8")
    table = json.loads(text)
    return tuple(_entry(table, row) for row in table["rows"])


def _entry(table: dict[str, Any], row: dict[str, Any]) -> Entry:
    means = {name: {"s_a": round(a / 100, 3), "s_g": round(g / 100, 3)} for name, (a, g) in row["scores"].items()}
    average = means.pop("average")
    said = {
        "schema": ENTRY_SCHEMA,
        "label": row["label"],
        "provenance": "author-reported",
        "source": table["source"],
        "suite": table["suite"],
        "judge": table["judge"],
        "trained_with_judge": row["trained_with_judge"],
        "reported": {"subtasks": means, "average": average},
    }
    return Entry(f"reported-{folder_name(row['label'], table['suite']['name'], table['judge']['name'])}", said)
