"""From logits to the answer, against probabilities worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from paircomp.errors import JudgeError
from paircomp.judges.yes_no import EXACT, PUBLISHED, AnswerTokens, Arithmetic, answer_tokens, read_answers

TOKENS = AnswerTokens(yes=(0, 1, 2), no=(3, 4, 5))


def logits(*masses: float, rest: int = 94) -> torch.Tensor:
    """One row: the given masses of the first six tokens, the remainder spread over `rest` others."""
    others = [(1 - sum(masses)) / rest] * rest
    return torch.tensor([[math.log(mass) for mass in (*masses, *others)]])


def test_all_six_words_are_summed() -> None:
    (answer,) = read_answers(logits(0.3, 0.2, 0.1, 0.1, 0.05, 0.05), TOKENS, EXACT)

    assert answer.score == pytest.approx(0.75, abs=1e-6)
    assert answer.log_yes == pytest.approx(math.log(0.6), abs=1e-6)
    assert answer.log_no == pytest.approx(math.log(0.2), abs=1e-6)


def test_a_word_below_the_fifty_likeliest_counts_nothing() -> None:
    row = logits(0.3, 0.2, 0.1, 0.1, 0.001, 0.001)  # 94 others share 0.298: 0.00317 each, above the last two words

    (published,), (exact,) = (read_answers(row, TOKENS, arithmetic) for arithmetic in (PUBLISHED, EXACT))

    assert published.score == round(0.6 / 0.7, 4)
    assert exact.score == pytest.approx(0.6 / 0.702, abs=1e-6)
    assert published.log_no == exact.log_no, "the log masses stand for all of the vocabulary"


def test_a_side_wholly_below_is_a_plain_zero_or_one_with_finite_logs() -> None:
    (answer,) = read_answers(logits(0.3, 0.2, 0.1, 0.001, 0.001, 0.001), TOKENS, PUBLISHED)

    assert answer.score == 1.0
    assert answer.log_no == pytest.approx(math.log(0.003), abs=1e-5)


def test_both_sides_below_is_unscored() -> None:
    (answer,) = read_answers(logits(*[0.001] * 6), TOKENS, PUBLISHED)

    assert answer.score is None
    assert answer.unscored == "neither yes nor no is among the 50 likeliest tokens"
    assert read_answers(logits(*[0.001] * 6), TOKENS, EXACT)[0].score == pytest.approx(0.5)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("arithmetic", [EXACT, PUBLISHED])
def test_logits_that_are_not_numbers_are_named_and_spoil_no_other_row(bad: float, arithmetic: Arithmetic) -> None:
    rows = logits(0.3, 0.2, 0.1, 0.1, 0.05, 0.05).repeat(2, 1)
    rows[0, 70] = bad

    broken, sound = read_answers(rows, TOKENS, arithmetic)

    assert broken.broken == "the model's logits are not finite"
    assert broken.score is None
    assert sound.score == pytest.approx(0.75, abs=1e-4)


@given(st.floats(-2000, 2000), st.floats(-2000, 2000))
def test_no_logits_overflow(yes: float, no: float) -> None:
    row = torch.zeros(1, 20)
    row[0, 0], row[0, 3] = yes, no

    (answer,) = read_answers(row, AnswerTokens(yes=(0, 1, 2), no=(3, 4, 5)), EXACT)

    assert answer.score is not None
    assert 0 <= answer.score <= 1
    assert answer.log_yes is not None
    assert math.isfinite(answer.log_yes)


def test_absent_words_are_all_named() -> None:
    known = {"yes": 1, "Yes": 2, "no": 4, "No": 5}

    with pytest.raises(JudgeError, match=r"tokenizer of here: .* none for 'YES', 'NO'"):
        answer_tokens(known.get, where="here")
