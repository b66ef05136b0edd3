"""Comparing two runs: matching, differences, gates."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from scipy import stats

from paircomp.comparison import compare, fail_if_worse, require_not_worse
from paircomp.errors import ConfigError
from paircomp.report.comparison_table import render_comparison
from paircomp.scoring import ScoreTable

NAMES = ("color", "counting", "text")


def run(shift=0.0, *, seed=0, per_subtask=40, pairs=None, noise=0.1, samples=2):
    """Scores around those of one shared difficulty per pair, `shift` better."""
    count = per_subtask * len(NAMES)
    difficulty = np.random.default_rng(99).uniform(0.3, 0.7, (count, 1, 1))
    own = np.clip(difficulty + shift + np.random.default_rng(seed).normal(0, noise, (count, 2, samples)), 0, 1)
    scores = np.full((count, 2, samples, 2), np.nan)
    scores[:, 0, :, 0], scores[:, 1, :, 1] = own[:, 0], own[:, 1]
    chosen = np.arange(count) if pairs is None else np.array(pairs)
    return ScoreTable(chosen, tuple(np.repeat(NAMES, per_subtask)[chosen]), scores[chosen])


def test_differences_equal_the_paired_t_test():
    a, b = run(seed=1, noise=0.2), run(0.02, seed=2, noise=0.2)
    row = compare(a, b).subtasks["counting"]
    before, after = (table.own[40:80].mean(axis=(1, 2)) for table in (a, b))
    expected = stats.ttest_rel(after, before)
    assert row.pairs == 40
    assert row.s_a.difference == pytest.approx((after - before).mean())
    assert row.s_a.ci == pytest.approx(tuple(expected.confidence_interval()), abs=1e-12)
    assert row.s_a.p == pytest.approx(expected.pvalue, abs=0.015)
    assert row.s_a.b - row.s_a.a == pytest.approx(row.s_a.difference)


def test_the_average_is_macro_and_its_tests_stand_apart():
    a, b = run(seed=1), run(0.02, seed=2)
    comparison = compare(a, b)
    rows = comparison.subtasks.values()
    assert comparison.average.s_g.difference == pytest.approx(np.mean([row.s_g.difference for row in rows]))
    assert comparison.average.s_g.p_holm is None
    assert all(row.s_g.p_holm >= row.s_g.p for row in rows)
    low, high = comparison.average.s_g.ci
    assert low < comparison.average.s_g.difference < high
    assert comparison.average.s_g.bounds.low > low  # one-sided bounds lie inside the two-sided interval
    assert comparison.average.s_g.bounds.high < high
    assert comparison.average.s_g.mde < min(row.s_g.mde for row in rows)


def test_the_pair_values_are_compared_not_the_images():
    """Pairing takes the difficulty of a pair out: the interval is far narrower than that of two separate runs."""
    a, b = run(seed=1, noise=0.05), run(0.03, seed=2, noise=0.05)
    low, high = compare(a, b).average.s_a.ci
    unpaired = stats.ttest_ind(b.own.mean(axis=(1, 2)), a.own.mean(axis=(1, 2))).confidence_interval()
    assert high - low < 0.4 * (unpaired.high - unpaired.low)


def test_pairs_are_matched_by_position_whatever_their_order():
    a, b = run(seed=1), run(0.02, seed=2)
    order = np.random.default_rng(0).permutation(len(b.pairs))
    shuffled = ScoreTable(b.pairs[order], tuple(b.subtasks[i] for i in order), b.scores[order])
    assert compare(a, shuffled).to_json() == compare(a, b).to_json()


def test_pairs_scored_in_one_run_alone_stay_out():
    a, b = run(seed=1, pairs=range(0, 120, 2)), run(seed=2, pairs=range(0, 120, 3))
    comparison = compare(a, b, draws=100)
    assert comparison.average.pairs == 20
    assert (comparison.only_a, comparison.only_b) == (40, 20)
    assert comparison.to_json()["pairs"] == {"matched": 20, "only_a": 40, "only_b": 20}


def test_unscored_images_follow_the_reading():
    a, b = run(seed=1), run(seed=2)
    scores = b.scores.copy()
    scores[0, 0, 0, 0] = np.nan
    broken = ScoreTable(b.pairs, b.subtasks, scores)
    assert compare(a, broken, draws=100).average.pairs == 119
    assert compare(a, broken, draws=100).only_a == 1
    zero = compare(a, broken, reading="zero", draws=100)
    assert zero.average.pairs == 120
    assert zero.subtasks["color"].s_g.b < compare(a, b, draws=100).subtasks["color"].s_g.b


def test_flipped_pairs_are_counted():
    a = ScoreTable(np.arange(4), ("color",) * 4, np.full((4, 2, 1, 2), 0.6))
    scores = np.full((4, 2, 1, 2), 0.6)
    scores[0, 0, 0, 0] = 0.4
    b = ScoreTable(np.arange(4), ("color",) * 4, scores)
    assert (compare(a, b).average.newly_passed, compare(a, b).average.newly_failed) == (0, 1)
    assert (compare(b, a).average.newly_passed, compare(b, a).average.newly_failed) == (1, 0)


def test_a_run_equals_itself():
    a = run()
    comparison = compare(a, a)
    assert comparison.average.s_g.difference == 0
    assert comparison.average.s_g.ci == pytest.approx((-0.00825, 0.00825), abs=1e-4)  # 1.98/(2 * 120)
    assert 0.011 < comparison.average.s_g.mde < 0.013
    assert comparison.average.s_g.p == 1
    assert not fail_if_worse(comparison, 0.01)
    assert require_not_worse(comparison, 0.01)


def test_one_changed_pair_has_a_narrow_interval():
    """Bootstrap draws without that pair must not send an end of the interval to the end of the scale."""
    a = run()
    scores = a.scores.copy()
    scores[5] = np.where(np.isnan(scores[5]), np.nan, 0.0)
    comparison = compare(a, ScoreTable(a.pairs, a.subtasks, scores))
    low, high = comparison.average.s_g.ci
    assert -0.02 < low < 0 < high < 0.02
    assert require_not_worse(comparison, 0.02)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(-0.2, 0.2))
def test_swapping_the_runs_turns_every_sign(seed, shift):
    a, b = run(seed=seed, per_subtask=10), run(shift, seed=seed + 1, per_subtask=10)
    there, back = compare(a, b, draws=200), compare(b, a, draws=200)
    for name in NAMES:
        for measure in ("s_a", "s_g"):
            one, other = getattr(there.subtasks[name], measure), getattr(back.subtasks[name], measure)
            assert one.difference == pytest.approx(-other.difference, abs=1e-12)
            assert one.ci == pytest.approx((-other.ci.high, -other.ci.low), abs=1e-12)
            assert one.p == other.p


def test_gates():
    a = run(seed=1)
    much_worse, equal = compare(a, run(-0.1, seed=2)), compare(a, run(seed=3))
    assert fail_if_worse(much_worse, 0.02)
    assert fail_if_worse(much_worse, 0.0)
    assert not fail_if_worse(much_worse, 0.2)
    assert not require_not_worse(much_worse, 0.02)
    assert require_not_worse(much_worse, 0.2)
    assert not fail_if_worse(equal, 0.02)
    assert require_not_worse(equal, 0.05)


def test_gates_hold_their_size():
    """B is truly worse by just the margin: each gate errs in about alpha of the runs."""
    alpha, wrong_fail, wrong_pass = 0.1, 0, 0
    for seed in range(200):
        comparison = compare(run(seed=seed), run(-0.05, seed=seed + 1000), draws=300, alpha=alpha)
        margin = 0.0505  # the true difference of s_g, which shrinks slightly more than s_a
        wrong_fail += fail_if_worse(comparison, margin)
        wrong_pass += require_not_worse(comparison, margin)
    assert 4 <= wrong_fail <= 40
    assert 4 <= wrong_pass <= 40


def test_a_gate_without_a_bound_is_an_error():
    lonely = compare(run(pairs=[0, 40, 80]), run(seed=1, pairs=[0, 40, 80]))
    with pytest.raises(ConfigError, match="at least two pairs"):
        fail_if_worse(lonely, 0.02)
    with pytest.raises(ConfigError, match=r"must lie in \[0, 1\]"):
        require_not_worse(compare(run(), run(seed=1), draws=10), 2.0)


def test_runs_that_do_not_fit_are_refused():
    a = run()
    with pytest.raises(ConfigError, match="different K are never compared: got 2 and 3"):
        compare(a, run(samples=3))
    with pytest.raises(ConfigError, match="no pair is scored in both"):
        compare(run(pairs=[0, 1]), run(pairs=[2, 3]))
    other = ScoreTable(a.pairs, ("text",) * len(a.pairs), a.scores)
    with pytest.raises(ConfigError, match="pair 0 has subtasks 'color' and 'text'"):
        compare(a, other, names=("old", "new"))
    with pytest.raises(ConfigError, match=r"different K.*; alpha must lie between 0 and 0.5, got 5"):
        compare(a, run(samples=3), alpha=5)
    single = ScoreTable(np.arange(2), ("color",) * 2, np.ones((2, 1, 2, 1)))
    with pytest.raises(ConfigError, match="prompts per pair differ"):
        compare(a, single)


def test_json_is_complete_and_holds_no_nan():
    a = run(pairs=[0, 1, 40, 80])
    said = compare(a, run(seed=1, pairs=[0, 1, 40]), names=("old", "new"), draws=50).to_json()
    json.dumps(said, allow_nan=False)
    assert said["schema"] == "paircomp-comparison/1"
    assert said["names"] == {"a": "old", "b": "new"}
    assert set(said["subtasks"]) == {"color", "counting"}  # of the pairs that both runs hold
    assert said["subtasks"]["counting"]["s_a"]["ci"] is None
    assert said["average"]["subtasks"] == 2
    assert set(said["average"]["s_g"]) == {"a", "b", "difference", "ci", "bounds", "p", "p_holm", "mde"}


def test_a_subtask_none_of_whose_pairs_is_scored_in_both_leaves_no_average():
    a, b = run(), run(seed=1)
    scores = b.scores.copy()
    scores[:40] = np.nan
    comparison = compare(a, ScoreTable(b.pairs, b.subtasks, scores), draws=50)
    assert comparison.subtasks["color"].pairs == 0
    assert comparison.subtasks["color"].s_a.p is None
    assert comparison.subtasks["text"].s_a.p_holm is not None
    assert comparison.average.s_g.difference is None


def test_fewer_pairs_than_the_suite_has_are_called_partial():
    a, b = run(seed=1), run(0.02, seed=2)
    whole, part, unknown = (compare(a, b, suite_pairs=pairs).to_json() for pairs in (120, 121, None))
    assert (whole["suite_pairs"], whole["partial"]) == (120, False)
    assert (part["suite_pairs"], part["partial"]) == (121, True)
    assert (unknown["suite_pairs"], unknown["partial"]) == (None, None)
    assert "PARTIAL: 120 of 121 pairs" in printed(part)
    assert "PARTIAL" not in printed(whole) + printed(unknown)


def test_an_average_over_a_part_of_the_subtasks_is_called_so():
    a, b = run(seed=1), run(0.02, seed=2)
    whole, part = (compare(a, b, draws=50, suite_subtasks=count).to_json() for count in (3, 6))
    assert (part["average"]["subtasks"], part["suite_subtasks"]) == (3, 6)
    assert "Average (3 of 6 subtasks)" in printed(part)
    assert "Average (macro)" in printed(whole)


def test_no_more_than_a_hundred_points_are_called_detectable():
    a, b = (
        ScoreTable(np.arange(4), ("color",) * 2 + ("text",) * 2, table.scores[:4]) for table in (run(), run(seed=1))
    )
    comparison = compare(a, b, draws=50).to_json()
    assert comparison["subtasks"]["color"]["s_g"]["mde"] > 1
    assert ">100" in printed(comparison)
    assert not re.search(r"\s1\d\d\.\d\s*$", printed(comparison), re.MULTILINE)


def printed(comparison):
    console = Console(width=120, file=io.StringIO())
    console.print(render_comparison(comparison))
    return console.file.getvalue()
