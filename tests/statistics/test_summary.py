"""The statistical parts of a report."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from paircomp.scoring import ScoreTable
from paircomp.statistics import mean_interval, summarize

NAMES = ("overall_appearance", "color", "counting", "position", "style_tone", "text")
SUMMARY = {"pairs", "s_a", "s_g", "gap", "full_pass", "zeros", "ci"}


def run(per_subtask=20, *, seed=0, cross=True, unscored=0.0):
    generator = np.random.default_rng(seed)
    count = per_subtask * len(NAMES)
    scores = generator.beta(3, 1, (count, 2, 2, 2))
    scores[:, 0, :, 1] *= 0.3
    scores[:, 1, :, 0] *= 0.3
    if not cross:
        scores[:, 0, :, 1] = scores[:, 1, :, 0] = np.nan
    scores[generator.random(scores.shape) < unscored] = np.nan
    return ScoreTable(np.arange(count), tuple(np.repeat(NAMES, per_subtask)), scores)


def nulls_only(value):
    """Whether a JSON value has no NaN anywhere."""
    json.dumps(value, allow_nan=False)
    return True


def test_the_report_parts_have_the_agreed_form():
    parts = summarize(run(), draws=200).to_json()
    assert set(parts) == {
        "unscored_reading", "interval", "subtasks", "average", "pair_weighted", "readings", "contrast", "distribution",
    }  # fmt: skip
    assert list(parts["subtasks"]) == list(NAMES)
    for row in parts["subtasks"].values():
        assert set(row) == SUMMARY
        assert set(row["ci"]) == {"s_a", "s_g", "gap", "full_pass"}
    assert set(parts["average"]) == SUMMARY | {"subtasks"}
    assert parts["average"]["subtasks"] == 6
    assert parts["average"]["pairs"] == 120
    assert set(parts["pair_weighted"]) == SUMMARY
    assert {key: parts["interval"][key] for key in ("level", "draws", "seed")} == {
        "level": 0.95, "draws": 200, "seed": 0,
    }  # fmt: skip
    assert parts["readings"]["exclude"] == parts["readings"]["zero"] == {
        key: parts[key] for key in ("subtasks", "average", "pair_weighted")
    }  # fmt: skip
    assert set(parts["contrast"]) == {"subtasks", "average", "chance"}
    assert parts["contrast"]["chance"] == {"text": 0.25, "image": 0.25, "group": 1 / 6}
    assert set(parts["contrast"]["average"]) == {"pairs", "text", "image", "group", "margin", "ci"}
    assert len(parts["distribution"]["bins"]) == 21
    for counts in parts["distribution"]["subtasks"].values():
        assert sum(counts["a"]) == sum(counts["g"]) == 20
    assert nulls_only(parts)


def test_means_and_intervals_of_a_subtask():
    table = run()
    row = summarize(table, draws=100).to_json()["subtasks"]["color"]
    own = table.own[20:40].reshape(20, 4)
    assert row["s_a"] == pytest.approx(own.mean())
    assert row["s_g"] == pytest.approx(stats.gmean(own, axis=1).mean())
    assert row["gap"] == pytest.approx(row["s_a"] - row["s_g"])
    assert row["ci"]["s_a"] == pytest.approx(mean_interval(own.mean(axis=1)))
    passes = int((own >= 0.5).all(axis=1).sum())
    assert row["full_pass"] == passes / 20
    expected = stats.binomtest(passes, 20).proportion_ci(method="wilson")
    assert row["ci"]["full_pass"] == pytest.approx((expected.low, expected.high))


def test_the_average_is_close_to_its_normal_interval():
    table = run(50)
    row = summarize(table).to_json()["average"]
    a = table.own.reshape(6, 50, 4).mean(axis=2)
    error = np.sqrt((a.var(axis=1, ddof=1) / 50).sum()) / 6
    assert row["s_a"] == pytest.approx(a.mean())
    assert row["ci"]["s_a"] == pytest.approx((a.mean() - 1.96 * error, a.mean() + 1.96 * error), abs=0.003)


def test_the_order_of_pairs_changes_no_digit():
    table = run(unscored=0.02)
    order = np.random.default_rng(1).permutation(len(table.pairs))
    shuffled = ScoreTable(table.pairs[order], tuple(table.subtasks[i] for i in order), table.scores[order])
    first, second = (json.dumps(summarize(each, draws=300).to_json()) for each in (table, shuffled))
    assert first == second


def test_both_readings_are_there_and_the_headline_is_chosen():
    summary = summarize(run(unscored=0.05), draws=100)
    exclude, zero = summary.to_json("exclude"), summary.to_json("zero")
    assert exclude["readings"] == zero["readings"]
    assert exclude["average"] == exclude["readings"]["exclude"]["average"]
    assert zero["average"] == exclude["readings"]["zero"]["average"]
    assert zero["unscored_reading"] == "zero"
    assert zero["average"]["pairs"] == 120 > exclude["average"]["pairs"]
    assert zero["average"]["s_a"] < exclude["average"]["s_a"]
    assert zero["average"]["zeros"] > exclude["average"]["zeros"] == 0


def test_a_subtask_without_a_complete_pair_is_null_and_so_is_the_average():
    table = run(cross=False)
    scores = table.scores.copy()
    scores[20:40, 0, 0, 0] = np.nan
    parts = summarize(ScoreTable(table.pairs, table.subtasks, scores), draws=100).to_json()
    row = parts["subtasks"]["color"]
    assert row == {
        "pairs": 0, "s_a": None, "s_g": None, "gap": None, "full_pass": None, "zeros": 0,
        "ci": {"s_a": None, "s_g": None, "gap": None, "full_pass": None},
    }  # fmt: skip
    assert parts["average"]["s_a"] is None
    assert parts["average"]["ci"]["s_a"] is None
    assert parts["pair_weighted"]["s_a"] is not None
    assert parts["contrast"] is None
    assert nulls_only(parts)


def test_one_pair_has_means_but_no_intervals():
    parts = summarize(ScoreTable(np.array([3]), ("color",), np.full((1, 2, 2, 2), 0.25)), draws=10).to_json()
    assert parts["subtasks"]["color"]["s_g"] == pytest.approx(0.25)
    assert parts["subtasks"]["color"]["ci"]["s_g"] is None
    assert parts["average"]["ci"]["s_a"] is None
    assert parts["contrast"]["subtasks"]["color"]["text"] == 0


def test_nothing_at_all_is_null():
    parts = summarize(ScoreTable(np.array([], dtype=int), (), np.empty((0, 2, 2, 2)))).to_json()
    assert parts["subtasks"] == {}
    assert parts["average"]["s_a"] is None
    assert nulls_only(parts)


def test_a_perfect_run_is_not_certain():
    parts = summarize(ScoreTable(np.arange(80), ("color", "text") * 40, np.ones((80, 2, 2, 2))), draws=100).to_json()
    assert parts["average"]["s_a"] == 1
    assert parts["average"]["ci"]["s_a"][1] == 1
    assert 0.9 < parts["average"]["ci"]["s_a"][0] < 1
    assert parts["average"]["ci"]["gap"][0] == 0 < parts["average"]["ci"]["gap"][1]
    assert 0.9 < parts["average"]["ci"]["full_pass"][0] < 1


def test_contrast_margins_may_be_negative():
    scores = np.full((20, 2, 2, 2), 0.5)
    scores[:, 0, :, 1] = scores[:, 1, :, 0] = np.random.default_rng(0).uniform(0.8, 1, (20, 2))
    contrast = summarize(ScoreTable(np.arange(20), ("color",) * 20, scores), draws=100).to_json()["contrast"]
    low, high = contrast["average"]["ci"]["margin"]
    assert -1 <= low < contrast["average"]["margin"] < high < 0
    assert contrast["subtasks"]["color"]["group"] == 0
