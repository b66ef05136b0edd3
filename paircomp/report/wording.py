"""What all renderers say alike: numbers, names, rows, captions and the lines that explain them.

Scores are shown in percent with one decimal, like the paper's Table 1; the report itself holds them in [0, 1].
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from paircomp.report.schema import ContrastScores, Interval, Report, Summary

__all__ = [
    "CONTRASTS",
    "HOW_TO_READ",
    "METRICS",
    "MISSING",
    "Contrast",
    "Metric",
    "Row",
    "average_caption",
    "average_over",
    "average_title",
    "contrast_rows",
    "differing_words",
    "facts",
    "interval",
    "interval_caption",
    "percent",
    "printable",
    "rows",
    "subtask_title",
    "unscored_caption",
]

Metric = Literal["s_a", "s_g", "gap", "full_pass"]
Contrast = Literal["text", "image", "group"]

MISSING: Final = "\N{EN DASH}"
"""Shown where there is no value: never a zero."""

METRICS: Final[dict[Metric, str]] = {"s_a": "s_a", "s_g": "s_g", "gap": "gap", "full_pass": "full pass"}
CONTRASTS: Final[tuple[Contrast, ...]] = ("text", "image", "group")

# Characters that turn the direction of the text after them.
_DIRECTION: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_TITLES: Final = {
    "overall_appearance": "Overall appearance",
    "color": "Color",
    "counting": "Counting",
    "position": "Position",
    "style_tone": "Style & tone",
    "text": "Text",
}

HOW_TO_READ: Final = (
    (
        "s_a",
        "arithmetic mean of the scores of a pair's images, averaged over pairs: how well images match prompts.",
    ),
    ("s_g", "geometric mean of the same scores: one bad image pulls its whole pair down. It depends on K."),
    (
        "gap",
        "s_a minus s_g: what is lost because the images of a pair score unevenly, between prompts or between samples.",
    ),
    ("full pass", "share of pairs in which every image scores at least 50; the interval is Wilson's."),
    (
        "Average",
        "macro mean: each subtask counts the same, as in the paper. The pair-weighted mean counts each pair the same.",
    ),
    (
        "contrast",
        "own prompt against the pair's other prompt. Text: each image prefers its own prompt. Image: each prompt "
        "prefers its own image. Group: both. Guessing reaches the chance line.",
    ),
    (
        "intervals",
        "how much the numbers would move with other pairs of the same kind; the judge's own errors are not in them.",
    ),
)


def percent(value: float | None) -> str:
    """A share in percent with one decimal and no sign; :data:`MISSING` for null.

    Example:
        >>> percent(0.6754), percent(0.0)
        ('67.5', '0.0')
    """
    if value is None:
        return MISSING
    return f"{round(100 * value, 1) + 0.0:.1f}"  # + 0.0 turns the -0.0 of a rounded tiny negative into 0.0


def interval(bounds: Interval | None) -> str:
    """An interval in percent, the bounds joined by an en dash; empty for null."""
    return "" if bounds is None else f"{percent(bounds[0])}\N{EN DASH}{percent(bounds[1])}"


def subtask_title(name: str) -> str:
    """The paper's heading of a subtask; names of other suites stay as they are."""
    return _TITLES.get(name, name)


def printable(text: str) -> str:
    r"""`text` on one line, with control and direction-changing characters made visible.

    Strings of a report may come from anywhere; an escape sequence must not reach a terminal, nor a right-to-left
    override a page.

    Example:
        >>> printable("a\x1b[31m b\nc")
        'a\\x1b[31m b c'
    """
    return "".join(_visible(character) for character in " ".join(text.splitlines()))


def _visible(character: str) -> str:
    if character == "\t":
        return " "
    unsafe = unicodedata.category(character) in {"Cc", "Cs"} or character in _DIRECTION
    return character.encode("unicode_escape").decode("ascii") if unsafe else character


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table of scores.

    Attributes:
        title: for people.
        kind: what the line averages over.
        summary: the means.
        contrast: contrast scores, where the run has them for this line.
    """

    title: str
    kind: Literal["subtask", "average", "pair_weighted"]
    summary: Summary
    contrast: ContrastScores | None = None


def rows(report: Report) -> list[Row]:
    """Lines of the score table: the subtasks in suite order, the macro average, the pair-weighted mean."""
    contrast = report.get("contrast")
    by_subtask = contrast["subtasks"] if contrast else {}
    lines = [
        Row(subtask_title(name), "subtask", summary, by_subtask.get(name))
        for name, summary in report["subtasks"].items()
    ]
    title = average_title(*average_over(report))
    lines.append(Row(title, "average", report["average"], contrast["average"] if contrast else None))
    lines.append(Row("Pair-weighted mean", "pair_weighted", report["pair_weighted"]))
    return lines


def average_over(report: Report) -> tuple[int, int]:
    """How many subtasks the macro average is over, and how many the suite has."""
    return report["average"]["subtasks"], report["suite"].get("subtasks", len(report["subtasks"]))


def average_title(subtasks: int, whole: int) -> str:
    """What a macro average is called: one over a part of the suite's subtasks is another quantity.

    Example:
        >>> average_title(6, 6), average_title(1, 6)
        ('Average (macro)', 'Average (1 of 6 subtasks)')
    """
    return "Average (macro)" if subtasks == whole else f"Average ({subtasks} of {whole} subtasks)"


def contrast_rows(report: Report) -> list[Row]:
    """The lines of :func:`rows` that have contrast scores; empty when the run has none."""
    return [row for row in rows(report) if row.contrast is not None]


def interval_caption(report: Report) -> str:
    """What the intervals are, in a few words; :func:`facts` tells the method."""
    return f"{100 * report['interval']['level']:g}% intervals over pairs."


def _interval_method(report: Report) -> str:
    method = report["interval"]
    draws = f", {method['draws']:,} draws" if method["draws"] else ""
    return f"{100 * method['level']:g}%, {method['method']}{draws}"


def unscored_caption(report: Report) -> str:
    """One sentence on coverage and on what an unscored image does to the numbers shown."""
    coverage = report["coverage"]
    scored = f"{coverage['scored']:,} of {coverage['images']:,} images scored."
    if not coverage["unscored"]:
        return scored
    reading = {
        "exclude": "A pair with an unscored image is left out of the means",
        "zero": "Unscored images count as score 0 here",
    }[report["unscored_reading"]]
    return f"{scored} {reading}; report.json holds both readings."


def average_caption(report: Report) -> str:
    """Why there is no macro average; empty where there is one."""
    empty = [printable(subtask_title(name)) for name, summary in report["subtasks"].items() if not summary["pairs"]]
    if report["average"]["s_g"] is not None or not empty:
        return ""
    return f"No average: it needs every subtask, and no pair could be scored in {', '.join(empty)}."


def facts(report: Report) -> list[tuple[str, str]]:
    """What was measured, as (label, text) lines; every text is printable."""
    suite, generator = report["suite"], report["generator"]
    part = f"{suite['selected_pairs']:,} of " if suite["partial"] else ""
    seed = str(generator["seed"]) if generator["supports_seeds"] else "the generator takes no seed"
    lines = [
        ("Model", generator["model"]),
        ("Checkpoint", _checkpoint(generator["checkpoint"], generator["revision"])),
        ("Suite", f"{suite['name']}, {part}{suite['pairs']:,} pairs, K = {suite['samples']} images per prompt"),
        ("Suite digest", suite["digest"]),
        ("Judge", report["judge"]["name"]),
        ("Trained with judge", generator["trained_with_judge"] or "not known"),
        ("Run seed", "not known" if generator["seed"] is None else seed),
        ("Intervals", _interval_method(report)),
    ]
    return [(label, printable(text)) for label, text in lines if text]


def _checkpoint(checkpoint: str | None, revision: str | None) -> str:
    if checkpoint is None:
        return ""
    return checkpoint if revision is None else f"{checkpoint} @ {revision}"


def differing_words(prompt: str, other: str) -> list[tuple[str, bool]]:
    """Cut `prompt` into pieces, each with whether it differs from `other`; joined, the pieces give `prompt` again.

    Example:
        >>> differing_words("two red cats", "two blue cats")
        [('two ', False), ('red', True), (' cats', False)]
    """
    words, others = _words(prompt), _words(other)
    matcher = difflib.SequenceMatcher(a=words, b=others, autojunk=False)
    pieces = [
        ("".join(words[start:end]), operation != "equal")
        for operation, start, end, _, _ in matcher.get_opcodes()
        if end > start
    ]
    return _merged(pieces)


def _words(text: str) -> list[str]:
    return re.findall(r"\s+|\w+|[^\w\s]", text)


def _merged(pieces: Sequence[tuple[str, bool]]) -> list[tuple[str, bool]]:
    merged: list[tuple[str, bool]] = []
    for text, differs in pieces:
        if merged and merged[-1][1] == differs:
            merged[-1] = (merged[-1][0] + text, differs)
        else:
            merged.append((text, differs))
    return merged
