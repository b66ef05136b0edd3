"""Schedules, held against numbers computed from the published code."""

from __future__ import annotations

import pytest

from focusdiff.schedules import OFFICIAL_PROBABILITY, LearningRate, piecewise_linear, step_of


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, 1), (50, 1), (150, 0.8125), (250, 0.625), (350, 0.4375), (450, 0.25), (700, 1 / 6), (1000, 1 / 15), (1200, 0),
     (2199, 0)],
)  # fmt: skip
def test_the_published_probability_of_ground_truth(step: int, expected: float) -> None:
    assert piecewise_linear(step, OFFICIAL_PROBABILITY, total=2200) == pytest.approx(expected)


def test_the_published_run_has_394_steps_of_ground_truth() -> None:
    total = sum(piecewise_linear(step, OFFICIAL_PROBABILITY, total=2200) for step in range(2200))

    assert total == pytest.approx(394.25, abs=0.26)


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, 0), (50, 5e-6), (100, 1e-5), (200, 6e-6), (300, 2e-6), (1000, 1.337e-6), (2200, 2e-7)],
)
def test_the_published_learning_rate(step: int, expected: float) -> None:
    rate = LearningRate(1e-5, 100, 2e-6, 300, 2e-7, "linear")

    assert rate.at(step, 2200) == pytest.approx(expected, rel=1e-3)


def test_the_papers_cosine_meets_the_line_at_both_ends_and_in_the_middle() -> None:
    line, cosine = (LearningRate(1e-5, 100, 2e-6, 300, 2e-7, fall) for fall in ("linear", "cosine"))  # type: ignore[arg-type]

    assert [cosine.at(step, 2200) for step in (300, 1250, 2200)] == pytest.approx(
        [line.at(step, 2200) for step in (300, 1250, 2200)]
    )
    assert cosine.at(600, 2200) > line.at(600, 2200)


def test_shares_of_a_run_are_positions_too() -> None:
    assert piecewise_linear(28, [(0, 1.0), ("80%", 0.0)], total=70) == pytest.approx(0.5)
    assert step_of("50%", 9) == 4.5


@pytest.mark.parametrize("position", ["80", "101%", "-1%", -3])
def test_what_is_no_position_is_refused(position: int | str) -> None:
    with pytest.raises(ValueError, match=r"80%|could not convert"):
        step_of(position, 10)
