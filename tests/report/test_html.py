"""The report page: well-formed, self-contained, safe and readable without sight of its colours."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise

import hypothesis
from hypothesis import given
from hypothesis import strategies as st

from paircomp.report.elements import Markup, element, join
from paircomp.report.html import to_html
from paircomp.report.schema import Report
from paircomp.report.wording import printable

VOID = {"meta", "br"}


class Page(HTMLParser):
    """Checks nesting; collects elements and the text of each kind of element."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self._open):
            self.texts.setdefault(tag, []).append(data)


def body(text: str) -> str:
    return re.sub(r"<style>.*?</style>", "", text, flags=re.S)


def test_the_page_is_well_formed_and_loads_nothing(any_report: Report) -> None:
    text = to_html(any_report)
    page = Page(text)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "foreignobject", "a"}
    assert not [
        name for _, attrs in page.elements for name in attrs if name in {"src", "href", "style"} or name[:2] == "on"
    ]
    assert not re.search(r"url\(|@import", text)
    assert not re.search(r'="-?(nan|inf)', text)


def test_the_style_sheet_keeps_inside_its_element(example: Callable[[str], Report]) -> None:
    style = "".join(Page(to_html(example("full"))).texts["style"])
    assert "prefers-color-scheme: dark" in style
    assert "@media print" in style
    assert style.count("{") == style.count("}")


def test_hostile_strings_are_shown_as_text(example: Callable[[str], Report], hostile_text: str) -> None:
    text = to_html(example("hostile"))
    shown = "".join(Page(text).texts["h1"])
    assert shown == printable(hostile_text)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "<script" not in text


def test_every_figure_says_in_words_what_it_shows(any_report: Report) -> None:
    figures = [attrs for tag, attrs in Page(to_html(any_report)).elements if tag == "svg"]
    for attrs in figures:
        stands_alone = attrs.get("role") == "img" and len(attrs.get("aria-label", "")) > 10
        assert stands_alone or attrs.get("aria-hidden") == "true" or attrs.get("overflow") == "visible"
    spoken = [attrs["aria-label"] for attrs in figures if "aria-label" in attrs]
    assert any("no scored pair" in label or "gap" in label for label in spoken)


def test_marks_stay_inside_their_plots(any_report: Report) -> None:
    for _, attrs in Page(to_html(any_report)).elements:
        for name in ("x", "x1", "x2", "cx", "width"):
            if attrs.get(name, "").endswith("%"):
                assert -0.01 <= float(attrs[name][:-1]) <= 100.01


def test_notices_are_the_first_thing(example: Callable[[str], Report]) -> None:
    text = body(to_html(example("low_coverage")))
    shown = re.sub(r"<[^>]+>", " ", text[text.index("<body>") :]).split()
    assert shown[:2] == ["COVERAGE", "97.0%"]


def test_differing_words_are_marked(example: Callable[[str], Report]) -> None:
    marked = Page(to_html(example("full"))).texts["mark"]
    assert {"left", "right"} <= set(marked)


def test_prompts_that_are_not_public_are_hashes(example: Callable[[str], Report]) -> None:
    report = example("private")
    text = body(to_html(report))
    assert "lamp" not in text
    assert report["worst_pairs"][0]["prompt_sha256"][0][:16] in text


def test_sections_without_content_are_left_out(example: Callable[[str], Report]) -> None:
    assert "Contrast" in Page(to_html(example("full"))).texts["h2"]
    headings = Page(to_html(example("no_contrast"))).texts["h2"]
    assert "Contrast" not in headings
    assert "Worst pairs" not in Page(to_html(example("nothing"))).texts["h2"]


def test_labels_of_the_scatter_plot_never_overlap(any_report: Report) -> None:
    labels = re.findall(r'<text x="100%" dx="8" y="(-?[\d.]+)"', to_html(any_report))
    heights = sorted(map(float, labels))
    assert all(below - above >= 15 for above, below in pairwise(heights))


def test_the_same_report_gives_the_same_bytes(example: Callable[[str], Report]) -> None:
    assert to_html(example("full")) == to_html(example("full"))


@given(st.text(), st.text())
@hypothesis.example("\x1f", "")
def test_elements_escape_text_and_attributes(text: str, attribute: str) -> None:
    page = Page(element("p", text, title=attribute))
    assert page.elements == [("p", {"title": printable(attribute)})]
    assert "".join(page.texts.get("p", [])).strip() == printable(text).strip()


def test_only_markup_is_markup() -> None:
    assert join("<b>", Markup("<b>"), None, ["&"]) == "&lt;b&gt;<b>&amp;"
