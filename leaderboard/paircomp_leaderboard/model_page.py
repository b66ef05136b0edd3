"""The page of one model: scores, profile, head-to-head tests, recipe, calibration and the gallery."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from paircomp.report.elements import Markup, element, join
from paircomp.report.page_pairs import coverage_section
from paircomp.report.page_parts import KINDS, definitions, framed_table, section, symbol
from paircomp.report.page_scores import contrast_section, dumbbells, histograms, scores
from paircomp.report.page_trust import trust_sections
from paircomp.report.plots import interval_bar
from paircomp.report.schema import Report
from paircomp.report.wording import METRICS, facts, interval, percent, printable
from paircomp_leaderboard.board_plots import radar
from paircomp_leaderboard.board_table import badges
from paircomp_leaderboard.boards import Board, BoardRow
from paircomp_leaderboard.entries import BADGES
from paircomp_leaderboard.pages import badge, document, gallery_section
from paircomp_leaderboard.pairwise import p_text, points
from paircomp_leaderboard.tables import rank_text

__all__ = ["model_page"]

_ROOT = "../"


def model_page(board: Board, row: BoardRow) -> str:
    """The page of a measured row."""
    report = cast("Report", row.report)
    others = [(other.entry.name, other.entry.label) for other in board.rows if other is not row]
    title = f"{row.entry.label} on {board.suite['name']}"
    return document(
        title,
        _notices(row, report),
        _header(board, row),
        _tiles(report),
        _profile(row, report),
        _duels(board, row),
        scores(report),
        contrast_section(report),
        histograms(report),
        coverage_section(report),
        *_as_submitted(report),
        _recipe(row, report),
        _judge_section(row, report),
        _verification(row),
        gallery_section(row.entry.name, others=others, base=_ROOT),
        root=_ROOT,
        scripts=["gallery"],
    )


def _notices(row: BoardRow, report: Report) -> Markup | None:
    notices = [*report["notices"], *(f"NOT RANKED: {reason}" for reason in row.unranked)]
    if row.entry.lapsed:
        notices.append(f"VERIFICATION LAPSED: {row.entry.lapsed}")
    return (
        element("div", (element("p", notice) for notice in notices), class_="notices", role="note") if notices else None
    )


def _header(board: Board, row: BoardRow) -> Markup:
    said = row.entry.said
    line = join(element("b", said["suite"]["name"]), f", {said['suite']['samples']} images per prompt, judged by ",
                element("b", said["judge"]["name"]))  # fmt: skip
    place = _place(board, row)
    back = element("nav", element("a", "Leaderboard", href=f"{_ROOT}index.html#{board.name}"), " / model",
                   class_="overline", aria_label="Where this is")  # fmt: skip
    links = element(
        "p",
        *(join(element("a", text, href=f"#{name}"), " ") for name, text in
          (("gallery", "Gallery"), ("recipe", "Recipe"), ("judge", "Judge"))),
        *(join(element("a", file, href=f"{_ROOT}entries/{row.entry.name}/{file}", download=""), " ")
          for file in ("entry.json", "pairs.jsonl")),
        class_="downloads",
    )  # fmt: skip
    marks = element("p", *badges(row), " ", element("span", place, class_="muted"), class_="badges")
    own = element("p", f"Model: {row.model}", class_="by") if row.model else None
    return element("header", back, element("h1", row.entry.label), own, element("p", line, class_="by"), marks, links)


def _place(board: Board, row: BoardRow) -> str:
    if row.ranks is None or board.ranking is None:
        return "without a rank"
    tied = f", not told apart from {', '.join(map(printable, row.tied))}" if row.tied else ""
    return f"rank {rank_text(row)} of {len(board.ranking.names)}{tied}"


def _tiles(report: Report) -> Markup:
    average = report["average"]
    words = {"s_a": "arithmetic mean", "s_g": "geometric mean", "gap": "lost within pairs", "full_pass": "all images"}
    tiles = (
        element(
            "div",
            element("p", symbol(metric), " ", element("span", words[metric], class_="muted"), class_="tile-name"),
            element("p", percent(average[metric]), class_="tile-value"),
            element("p", interval(average["ci"].get(metric)) or "no interval", class_="muted"),
            interval_bar(average[metric], average["ci"].get(metric), KINDS[metric]),
            class_=f"tile {KINDS[metric]}",
        )
        for metric in METRICS
    )
    return element("section", element("div", tiles, class_="tiles"), aria_label="Averages")


def _profile(row: BoardRow, report: Report) -> Markup:
    return element("div", dumbbells(report), element("figure", radar(row.subtasks, row.entry.label)), class_="profile")


def _duels(board: Board, row: BoardRow) -> Markup | None:
    ranking = board.ranking
    if ranking is None or row.ranks is None or len(ranking.names) < 2:
        return None
    lines = []
    for other in board.rows:
        matchup = ranking.matchup(row.entry.name, other.entry.name) if other is not row else None
        if matchup is None:
            continue
        better, worse = ranking.beats(row.entry.name), ranking.beaten_by(row.entry.name)
        name = other.entry.name
        verdict = "better" if name in better else "worse" if name in worse else "tied"
        bounds = "no interval" if matchup.ci is None else f"{points(matchup.ci[0])} to {points(matchup.ci[1])}"
        lines.append(element(
            "tr",
            element("th", element("a", other.entry.label, href=f"{name}.html"), scope="row"),
            element("td", element("b", points(matchup.difference)), element("span", bounds, class_="muted interval"),
                    class_=f"number {verdict}"),
            element("td", p_text(matchup.p_holm), class_="number"),
            element("td", verdict),
            element("td", element("a", "flipped pairs", href=f"#with={name}&show=flipped&sort=change",
                                  aria_label=f"pairs that flipped against {other.entry.label}")),
        ))  # fmt: skip
    heads = ["Against", join("Difference of ", symbol("s_g")), "p (Holm)", "Verdict", "Pairs"]
    table = framed_table(heads, lines, label="Paired tests against the other models", numbers=slice(1, 3))
    return section("Head to head", table, lead="On the pairs scored in both, in points of a hundred.")


def _as_submitted(report: Report) -> Iterator[Markup]:
    """Held-out judge and calibration, with the word that nothing in an entry bears them out."""
    try:
        sections = list(trust_sections(report))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):  # a submission may hold anything there
        yield section("Held-out judge and calibration", lead="What this entry holds of them cannot be read.")
        return
    if sections:
        said = "Held-out judge and calibration stand as submitted: their numbers do not follow from this row's scores."
        yield element("p", badge("not verified", "warning"), " ", said, class_="lead")
        yield from sections


def _recipe(row: BoardRow, report: Report) -> Markup:
    made, generator = row.entry.said["made_with"], report["generator"]
    speed, machine = made["images_per_second"], made["machine"] or {}
    told = [
        *facts(report),
        ("Adapter", generator["adapter"] or ""),
        ("Provenance", row.entry.said["provenance"]),
        ("Made on (not verified)", made["date"] or ""),
        ("Device (not verified)", made["device"] or ""),
        ("Machine (not verified)", _machine(machine)),
        ("Images per second (not verified)", "" if speed is None else f"{speed:.3g}"),
        (
            "Versions (not verified)",
            ", ".join(f"{name} {version}" for name, version in made["versions"].items() if version),
        ),
    ]
    return element(
        "section",
        element("h2", "Recipe"),
        definitions([(name, printable(text)) for name, text in told if text]),
        element("h3", "Sampling"),
        _values(generator["recipe"]),
        id="recipe",
    )


def _machine(machine: Mapping[str, Any]) -> str:
    accelerators = machine.get("accelerators") or []
    parts = [machine.get("system"), f"{machine['cores']} cores" if machine.get("cores") else None,
             *(accelerators if isinstance(accelerators, list) else [])]  # fmt: skip
    return ", ".join(_plain(part) for part in parts if part)


def _judge_section(row: BoardRow, report: Report) -> Markup:
    lead = None if report.get("calibration") else "This entry holds no calibration of its judge."
    identity = _values(row.entry.said["judge"]["identity"] or {})
    return element("section", element("h2", "Judge"), element("p", lead, class_="lead") if lead else None, identity,
                   id="judge")  # fmt: skip


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every leaf of nested values with its path, at most 200 of them."""
    if isinstance(value, Mapping):
        for key, inner in list(value.items())[:200]:
            yield from _flat(inner, f"{name} {key}".strip())
    elif value is not None:
        yield printable(name), printable(_plain(value))[:400]


def _verification(row: BoardRow) -> Markup | None:
    proof = row.entry.verification
    if not proof:
        return None
    lines = [(check["name"], f"{check['outcome']}: {check['said']}") for check in proof["checks"]]
    return section("Verification", definitions([(printable(name), printable(said)) for name, said in lines]),
                   lead=BADGES[proof["badge"]])  # fmt: skip


def _values(values: Mapping[str, Any]) -> Markup:
    if not values:
        return element("p", "none", class_="muted")
    return definitions([(printable(key), printable(text)) for key, text in _flat(values)])


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
