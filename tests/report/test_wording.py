"""Numbers, names and differing words."""

from __future__ import annotations

import csv
import doctest
import io
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from paircomp.report import elements, local_paths, wording
from paircomp.report.every_eval_ever import to_every_eval_ever
from paircomp.report.html import to_html
from paircomp.report.hub import model_card_section
from paircomp.report.markdown import to_markdown
from paircomp.report.schema import Report
from paircomp.report.tables import to_csv
from paircomp.report.terminal import render
from paircomp.report.wording import average_caption, differing_words, facts, percent, printable, rows, unscored_caption


@pytest.mark.parametrize("module", [wording, elements, local_paths])
def test_examples_in_docstrings(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


@pytest.mark.parametrize(("value", "text"), [(0.6754, "67.5"), (1.0, "100.0"), (0.0, "0.0"), (-1e-17, "0.0")])
def test_percent(value: float, text: str) -> None:
    assert percent(value) == text


def test_a_missing_value_is_not_a_zero() -> None:
    assert percent(None) == "\N{EN DASH}"


@given(st.text())
def test_printable_holds_no_control_character(text: str) -> None:
    assert not {unicodedata.category(character) for character in printable(text)} & {"Cc", "Cs"}
    assert printable(printable(text)) == printable(text)


def test_printable_keeps_what_people_write() -> None:
    family = "\N{MAN}\u200d\N{GIRL}"
    assert printable(f"naïve 猫 {family}") == f"naïve 猫 {family}"
    assert printable("a\u202eb") == "a\\u202eb"


@given(st.text(alphabet="ab ,.é"), st.text(alphabet="ab ,.é"))
def test_differing_pieces_join_to_the_prompt(prompt: str, other: str) -> None:
    assert "".join(text for text, _ in differing_words(prompt, other)) == prompt
    assert not any(differs for _, differs in differing_words(prompt, prompt))


def test_the_differing_word_is_found_beside_punctuation() -> None:
    assert differing_words("A red, tall cup.", "A blue, tall cup.") == [
        ("A ", False),
        ("red", True),
        (", tall cup.", False),
    ]


def test_rows_follow_the_suite_and_end_with_the_averages(example: Callable[[str], Report]) -> None:
    lines = rows(example("full"))
    assert [line.kind for line in lines] == ["subtask"] * 6 + ["average", "pair_weighted"]
    assert lines[4].title == "Style & tone"


def test_captions_say_what_is_missing(example: Callable[[str], Report]) -> None:
    assert average_caption(example("full")) == ""
    assert average_caption(example("zero_pairs")).endswith("no pair could be scored in Text.")
    report = example("low_coverage")
    assert "left out" in unscored_caption(report)
    report["unscored_reading"] = "zero"
    assert "score 0" in unscored_caption(report)


def test_facts_name_the_part_of_a_partial_run(example: Callable[[str], Report]) -> None:
    assert "12 of 550 pairs" in dict(facts(example("partial")))["Suite"]


def test_an_average_over_a_part_of_the_suite_says_so_in_every_form(example: Callable[[str], Report]) -> None:
    report = example("one_subtask")
    said = "Average (1 of 6 subtasks)"
    console = Console(width=100, file=io.StringIO())
    console.print(render(report))
    results = to_every_eval_ever(report, evaluation_id_time=0)["evaluation_results"]
    names = {result["evaluation_name"] for result in results if "/average/" in result["evaluation_result_id"]}
    assert names == {f"paircomp: {said}"}
    assert said in console.file.getvalue()
    assert said in model_card_section(report)
    for text in (to_html(report), to_markdown(report), console.file.getvalue(), model_card_section(report)):
        assert "Average (macro)" not in text
    assert said in to_markdown(report)
    assert said in to_html(report)
    assert "Averaged over 1 of 6 subtasks" in to_html(report)
    line = next(line for line in csv.DictReader(io.StringIO(to_csv(report))) if line["kind"] == "average")
    assert (line["subtasks"], line["suite_subtasks"]) == ("1", "6")
