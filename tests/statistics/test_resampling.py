"""Bootstrap and sign flips against plain loops and scipy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from paircomp.statistics import sign_flips, stratified_bootstrap
from paircomp.statistics.averages import AverageIntervals

GENERATOR = np.random.default_rng(5)
STRATA = {
    "color": GENERATOR.beta(4, 2, (40, 2)),
    "text": GENERATOR.beta(1, 2, (25, 2)),
    "position": GENERATOR.beta(2, 2, (60, 2)),
}
WEIGHTS = [1 / 3] * 3


def test_means_and_errors_equal_the_formulas():
    redrawn = stratified_bootstrap(STRATA, WEIGHTS, draws=20_000)
    for measure in (0, 1):
        parts = [values[:, measure] for values in STRATA.values()]
        mean = sum(part.mean() for part in parts) / 3
        error = math.sqrt(sum(part.var(ddof=1) / len(part) for part in parts)) / 3
        assert redrawn.mean[measure] == pytest.approx(mean, abs=1e-12)
        assert redrawn.error[measure] == pytest.approx(error, abs=1e-12)
        assert redrawn.means[:, measure].mean() == pytest.approx(mean, abs=4 * error / math.sqrt(20_000))
        # Resampling n of n has variance (n - 1)/n of the unbiased one.
        assert redrawn.means[:, measure].std() == pytest.approx(error, rel=0.03)
        assert redrawn.errors[:, measure].mean() == pytest.approx(error, rel=0.03)
    assert redrawn.trials == pytest.approx(9 / (1 / 40 + 1 / 25 + 1 / 60))


def test_draws_equal_a_plain_loop():
    redrawn = stratified_bootstrap(STRATA, WEIGHTS, draws=50, seed=3)
    expected_means, expected_squares = np.zeros(50), np.zeros(50)
    for name, values in STRATA.items():
        rows = np.random.default_rng([3, *name.encode()]).integers(0, len(values), size=(50, len(values)))
        for draw in range(50):
            drawn = [float(values[row, 1]) for row in rows[draw]]
            mean = sum(drawn) / len(drawn)
            expected_means[draw] += mean / 3
            expected_squares[draw] += sum((x - mean) ** 2 for x in drawn) / (len(drawn) - 1) / len(drawn) / 9
    assert redrawn.means[:, 1] == pytest.approx(expected_means, abs=1e-12)
    assert redrawn.errors[:, 1] == pytest.approx(np.sqrt(expected_squares), abs=1e-12)


def test_one_stratum_agrees_with_scipy():
    """The percentile interval of scipy and our studentised one are close where the values are not skewed."""
    values = STRATA["position"]
    ours = stratified_bootstrap({"position": values}, [1.0], draws=10_000).studentised(0)
    theirs = stats.bootstrap((values[:, 0],), np.mean, n_resamples=5000, rng=np.random.default_rng(0), method="BCa")
    assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=0.006)


def test_welch_satterthwaite_of_two_strata_equals_scipy():
    first, second = STRATA["color"][:, 0], STRATA["text"][:, 0]
    redrawn = stratified_bootstrap({"a": first[:, None], "b": second[:, None]}, [1.0, -1.0], draws=10)
    expected = stats.ttest_ind(first, second, equal_var=False)
    assert redrawn.degrees[0] == pytest.approx(expected.df)
    assert redrawn.mean[0] / redrawn.error[0] == pytest.approx(expected.statistic)


def test_the_same_seed_gives_the_same_draws_in_any_company():
    alone = stratified_bootstrap({"color": STRATA["color"]}, [1.0], draws=100)
    again = stratified_bootstrap({"color": STRATA["color"]}, [1.0], draws=100)
    other = stratified_bootstrap({"color": STRATA["color"]}, [1.0], draws=100, seed=1)
    company = stratified_bootstrap(STRATA, [1.0, 0.0, 0.0], draws=100)
    assert np.array_equal(alone.means, again.means)
    assert np.allclose(alone.means, company.means, atol=1e-15)
    assert not np.array_equal(alone.means, other.means)


def average(strata, **settings):
    options = {"level": 0.95, "draws": 2000, "seed": 0} | settings
    return AverageIntervals(strata, ("x", "y"), **options)


def test_averages_without_spread_are_not_certain():
    low, high = average({"a": np.ones((40, 2)), "b": np.ones((40, 2))}).macro()["x"]
    assert high == 1
    assert 0.94 < low < 0.96  # 80 perfect pairs: about 1 - 3.9/80


def test_one_pair_that_differs_does_not_blow_up_the_average():
    """A third of the draws lack it: studentised, the lower end would be 0."""
    values = np.ones((40, 2))
    values[7] = 0.2
    assert stratified_bootstrap({"a": values}, [1.0], draws=2000).studentised(0) is None
    low, high = average({"a": values, "b": np.ones((40, 2))}).macro()["x"]
    assert 0.93 < low < 0.99
    assert 0.99 < high <= 1


def test_averages_with_too_few_pairs_have_no_interval():
    strata = {"a": np.ones((40, 2)), "b": np.ones((1, 2)), "c": np.ones((0, 2))}
    assert average(strata).macro() == {"x": None, "y": None}
    assert average(strata).pair_weighted() == {"x": None, "y": None}
    without = {"a": STRATA["color"], "c": np.ones((0, 2))}
    assert average(without).macro()["x"] is None
    assert average(without).pair_weighted()["x"] is not None
    assert average({}).macro() == {"x": None, "y": None}


def test_averages_over_very_many_pairs_are_not_redrawn():
    """The two methods agree there; 10,000 draws of 40,000 pairs would take long."""
    values = np.random.default_rng(0).beta(4, 2, (40_000, 2))
    many = average({"a": values[:30_000], "b": values[30_000:]}, draws=10**9).macro()["x"]
    error = math.sqrt(values[:30_000, 0].var() / 30_000 + values[30_000:, 0].var() / 10_000) / 2
    assert many.high - many.low == pytest.approx(2 * 1.96 * error, rel=1e-3)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 12), st.floats(0.05, 5))
def test_averages_stay_in_range(seed, count, shape):
    values = np.random.default_rng(seed).beta(shape, 1, (2, count, 2))
    for interval in average({"a": values[0], "b": values[1]}, draws=200).macro().values():
        assert 0 <= interval.low <= interval.high <= 1


# Sign flips


def exact_p(differences):
    """Two-sided p-value of the mean by all sign vectors."""
    observed = abs(sum(differences))
    flips = [abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
             for signs in itertools.product((1, -1), repeat=len(differences))]  # fmt: skip
    return sum(flip >= observed - 1e-12 for flip in flips) / len(flips)


def test_sign_flips_approach_the_exact_test():
    differences = np.array([0.3, -0.1, 0.25, 0.2, 0.05, -0.02, 0.4, 0.1, 0.1, 0.0])
    expected = exact_p(differences.tolist())
    flips = sign_flips({"a": differences[:, None]}, [1.0], draws=40_000)
    assert flips.strata["a"][0] == pytest.approx(expected, abs=0.005)
    assert flips.overall[0] == flips.strata["a"][0]


def test_sign_flips_agree_with_t_and_with_scipy():
    differences = np.random.default_rng(2).normal(0.05, 0.2, 60)
    p = sign_flips({"a": differences[:, None]}, [1.0], draws=20_000).overall[0]
    assert p == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, abs=0.01)
    theirs = stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=20_000,
                                    rng=np.random.default_rng(0))  # fmt: skip
    assert p == pytest.approx(theirs.pvalue, abs=0.01)


def test_the_overall_test_weighs_strata_not_pairs():
    """One small stratum with a clear difference, one large without: macro weights see it, pair weights would not."""
    generator = np.random.default_rng(0)
    strata = {"small": generator.normal(0.3, 0.1, (10, 1)), "large": generator.normal(0, 0.3, (400, 1))}
    macro = sign_flips(strata, [0.5, 0.5]).overall[0]
    pooled = sign_flips(strata, [10 / 410, 400 / 410]).overall[0]
    assert macro < 0.005
    assert pooled > 0.05


def test_no_difference_has_p_one_and_the_least_p_is_not_zero():
    assert sign_flips({"a": np.zeros((5, 1))}, [1.0], draws=99).overall[0] == 1
    assert sign_flips({"a": np.full((200, 1), 0.1)}, [1.0], draws=99).overall[0] == pytest.approx(0.01)


def test_under_the_null_p_values_are_uniform():
    generator = np.random.default_rng(7)
    p = [sign_flips({"a": generator.normal(0, 1, (20, 1))}, [1.0], draws=199, seed=i).overall[0] for i in range(400)]
    assert stats.kstest(p, "uniform").pvalue > 0.01
