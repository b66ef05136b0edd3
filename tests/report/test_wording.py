"""Numbers, names and differing words."""

from __future__ import annotations

import doctest
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paircomp.report import elements, wording
from paircomp.report.schema import Report
from paircomp.report.wording import average_caption, differing_words, facts, percent, printable, rows, unscored_caption


@pytest.mark.parametrize("module", [wording, elements])
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
