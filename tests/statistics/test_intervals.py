"""Intervals: against scipy and textbook formulas, at the edges, and in order."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from paircomp.statistics import holm, mean_interval, minimal_detectable_effect, wilson
from paircomp.statistics.intervals import score_interval

VALUES = st.lists(
    st.one_of(st.just(0.0), st.just(1.0), st.integers(0, 10**6).map(lambda i: i / 10**6)), min_size=2, max_size=60
)


@pytest.mark.parametrize(("passes", "count"), [(0, 40), (1, 40), (20, 40), (40, 40), (3, 7)])
def test_wilson_equals_scipy(passes, count):
    expected = stats.binomtest(passes, count).proportion_ci(method="wilson")
    assert wilson(passes, count) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_needs_two_pairs():
    assert wilson(1, 1) is None
    assert wilson(0, 0) is None


def test_an_interval_of_yes_and_no_is_close_to_wilson():
    values = np.array([1.0] * 150 + [0.0] * 50)
    assert mean_interval(values) == pytest.approx(wilson(150, 200), abs=2e-3)


def test_an_interval_in_the_middle_is_close_to_t():
    values = np.random.default_rng(0).normal(0.5, 0.1, 100)
    expected = stats.ttest_1samp(values, 0).confidence_interval()
    assert mean_interval(values) == pytest.approx((expected.low, expected.high), abs=2e-4)


def test_an_interval_solves_the_score_equation():
    """The ends are the means from which the sample mean is just t standard errors away (Wilson's definition)."""
    values = np.random.default_rng(1).beta(2, 1, 40)
    mean, error = values.mean(), values.std(ddof=1) / math.sqrt(40)
    trials, t = mean * (1 - mean) / error**2, stats.t.ppf(0.975, 39)
    for end in mean_interval(values):
        assert abs(mean - end) == pytest.approx(t * math.sqrt(end * (1 - end) / trials), rel=1e-9)


@given(VALUES, st.floats(0.5, 0.99))
def test_intervals_stay_in_range_and_hold_the_mean(values, level):
    array = np.array(values)
    low, high = mean_interval(array, level=level)
    assert 0 <= low <= array.mean() + 1e-12
    assert array.mean() - 1e-12 <= high <= 1
    assert low < high  # never certain


@given(VALUES)
def test_intervals_mirror(values):
    array = np.array(values)
    low, high = mean_interval(array)
    mirrored = mean_interval(1 - array)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-6)


@given(VALUES)
def test_intervals_scale_with_the_range(values):
    array = np.array(values)
    low, high = mean_interval(array)
    assert mean_interval(2 * array - 1, lower=-1.0) == pytest.approx((2 * low - 1, 2 * high - 1), abs=1e-6)


@given(VALUES)
def test_higher_levels_are_wider(values):
    narrow, wide = (mean_interval(np.array(values), level=level) for level in (0.8, 0.95))
    assert wide.low <= narrow.low
    assert narrow.high <= wide.high


def test_too_few_pairs_have_no_interval():
    assert mean_interval(np.array([])) is None
    assert mean_interval(np.array([0.3])) is None


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_perfect_scores_are_not_certain(value):
    low, high = mean_interval(np.full(40, value))
    assert (low, high) == pytest.approx((0, 0.093) if value == 0 else (0.907, 1), abs=1e-3)


@pytest.mark.parametrize("n", [2, 40, 250])
def test_equal_scores_leave_room_for_what_the_sample_lacks(n):
    low, high = mean_interval(np.full(n, 0.7))
    if n > 2:
        assert high - low == pytest.approx(2 * stats.t.ppf(0.975, n - 1) / (2 * n), rel=0.05)


@given(VALUES, st.floats(0, 1))
def test_intervals_do_not_jump(values, value):
    """Also where all values become equal, or all 0 or all 1."""
    ends = np.array([*values, value])
    for array in (ends, np.full(10, value), np.ones(10), np.zeros(10)):
        nudged = np.clip(array + np.linspace(-1e-9, 1e-9, array.size), 0, 1)
        assert mean_interval(nudged) == pytest.approx(mean_interval(array), abs=1e-4)


def test_score_interval_needs_no_whole_number_of_trials():
    assert score_interval(0.5, 7.5, 1.96).low < score_interval(0.5, 8, 1.96).low


def test_holm_equals_the_definition():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.001, 0.2))
def test_holm_rejects_what_stepping_down_rejects(p_values, alpha):
    rejected, order = set(), sorted(range(len(p_values)), key=lambda i: p_values[i])
    for rank, index in enumerate(order):
        if p_values[index] * (len(p_values) - rank) > alpha:
            break
        rejected.add(index)
    assert {i for i, p in enumerate(holm(p_values)) if p <= alpha} == rejected


def test_minimal_detectable_effect_is_found_four_times_in_five():
    n, sd = 40, 0.3
    effect = minimal_detectable_effect(sd / math.sqrt(n), n - 1)
    assert effect == pytest.approx((stats.t.ppf(0.975, 39) + stats.t.ppf(0.8, 39)) * sd / math.sqrt(n))
    samples = np.random.default_rng(0).normal(effect, sd, (4000, n))
    found = (stats.ttest_1samp(samples, 0, axis=1).pvalue < 0.05).mean()
    assert found == pytest.approx(0.8, abs=0.025)
