"""The Markdown report, read back by a real CommonMark parser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from paircomp.report.markdown import escape, to_markdown
from paircomp.report.schema import Report
from paircomp.report.wording import printable


def inline_tokens(text: str) -> Iterator[Token]:
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text):
        yield token
        yield from token.children or []


def test_every_line_of_a_table_has_the_same_cells(any_report: Report) -> None:
    blocks = re.findall(r"(?:^\|.*\|\n)+", to_markdown(any_report), flags=re.M)
    assert len(blocks) >= 2
    for block in blocks:
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(cells) == 1


def test_only_our_own_markup_survives(any_report: Report) -> None:
    tokens = list(inline_tokens(to_markdown(any_report)))
    assert {token.content for token in tokens if "html" in token.type} <= {"<sub>", "</sub>"}
    assert not [token for token in tokens if token.type in {"link_open", "image", "em_open", "s_open"}]
    assert [token.tag for token in tokens if token.type == "heading_open"].count("h1") == 1


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\t")))
@example("__0__")
def test_escaped_text_shows_exactly_itself(text: str) -> None:
    shown = "".join(t.content for t in inline_tokens(f"x {escape(text)} x") if t.type in {"text", "text_special"})
    assert shown == f"x {printable(text)} x"


def test_sections_and_notices(example: Callable[[str], Report]) -> None:
    text = to_markdown(example("low_coverage"))
    assert text.splitlines()[2].startswith("> **COVERAGE 97.0%")
    assert re.findall(r"^## (.*)", text, flags=re.M) == [
        "What was measured",
        "Scores",
        "Coverage",
        "Contrast",
        "How to read",
    ]
    assert "refused: content policy" in text
    assert "## Contrast" not in to_markdown(example("no_contrast"))
