"""The sections of the report page about images and pairs: coverage and the worst pairs."""

from __future__ import annotations

from paircomp.report.elements import Markup, element
from paircomp.report.page_parts import framed_table, section
from paircomp.report.schema import Report, ScoreCounts, WorstPair
from paircomp.report.wording import (
    differing_words,
    percent,
    subtask_title,
    unscored_caption,
)

__all__ = ["coverage_section", "worst_pairs"]


def coverage_section(report: Report) -> Markup:
    """What was scored, and why the rest was not."""
    coverage = report["coverage"]
    parts = [(subtask_title(name), counts) for name, counts in coverage["by_subtask"].items()]
    counts = framed_table(["Subtask", "Images", "Scored", "Unscored"],
                    (_count_line(title, part) for title, part in [*parts, ("All", coverage)]),
                    label="Coverage by subtask")  # fmt: skip
    reasons = None
    if coverage["reasons"]:
        lines = (
            element("tr", element("th", r["reason"], scope="row"),
                    element("td", f"{r['count']:,}", class_="number"), element("td", element("code", r["first"])))
            for r in coverage["reasons"]
        )  # fmt: skip
        reasons = framed_table(
            ["Why unscored", "Images", "First"], lines, label="Why images have no score", numbers=slice(1, 2)
        )
    whole = not coverage["unscored"]
    by_subtask = element("details", element("summary", "Coverage by subtask"), counts, open=None if whole else "open")
    return section("Coverage", reasons, by_subtask, lead=unscored_caption(report))


def _count_line(title: str, counts: ScoreCounts) -> Markup:
    numbers = (counts["images"], counts["scored"], counts["unscored"])
    cells = (element("td", f"{number:,}", class_="number") for number in numbers)
    return element("tr", element("th", title, scope="row"), cells, class_="average" if title == "All" else None)


def worst_pairs(report: Report) -> Markup | None:
    """The pairs of lowest g, their differing words marked; None without pairs."""
    if not report["worst_pairs"]:
        return None
    heads = ["Pair", "Subtask", "Prompts", element("i", "g"), element("i", "a")]
    lines = map(_worst_line, report["worst_pairs"])
    public = any(pair["prompts"] for pair in report["worst_pairs"])
    said = "the words that differ are marked." if public else "this suite's prompts are not public, their hashes are."
    table = framed_table(heads, lines, label="Pairs of lowest geometric mean", numbers=slice(3, None))
    return section("Worst pairs", table, lead=f"The pairs of lowest geometric mean g; {said}")


def _worst_line(pair: WorstPair) -> Markup:
    number, label = str(pair["pair"]), pair["pair_id"]
    named = element("span", label, class_="muted interval") if label != number else None
    return element(
        "tr",
        element("th", number, named, scope="row"),
        element("td", subtask_title(pair["subtask"])),
        element("td", _prompts(pair), class_="prompts"),
        element("td", element("b", percent(pair["g"])), class_="number"),
        element("td", percent(pair["a"]), class_="number"),
    )


def _prompts(pair: WorstPair) -> list[Markup]:
    texts = pair["prompts"]
    if texts is None:
        return [element("p", element("code", f"sha256 {digest[:16]}")) for digest in pair["prompt_sha256"]]
    if len(texts) < 2:
        return [element("p", text) for text in texts]
    others = [texts[1], *[texts[0]] * (len(texts) - 1)]
    return [element("p", _marked(text, other)) for text, other in zip(texts, others, strict=True)]


def _marked(text: str, other: str) -> list[Markup | str]:
    return [element("mark", piece) if differs else piece for piece, differs in differing_words(text, other)]
