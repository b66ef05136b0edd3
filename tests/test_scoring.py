"""Pair values against plain loops, the official score file, contrast against enumeration."""

from __future__ import annotations

import itertools
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paircomp.errors import RunError
from paircomp.scoring import (
    ScoreTable,
    contrast_values,
    macro,
    official_scores_json,
    pair_values,
    pair_weighted,
    read_official_scores,
    subtask_means,
    write_official_scores,
)
from paircomp.types import PromptPair

SCORE = st.one_of(st.just(0.0), st.just(1.0), st.just(0.5), st.floats(0, 1))
UNSCORED = st.one_of(SCORE, st.just(math.nan))


def own_table(rows, subtasks=None, pairs=None):
    """A table of ``rows [P, T, K]`` of own scores without cross scores."""
    own = np.array(rows, dtype=float)
    count, prompts, samples = own.shape
    scores = np.full((count, prompts, samples, prompts), np.nan)
    for prompt in range(prompts):
        scores[:, prompt, :, prompt] = own[:, prompt]
    return ScoreTable(
        np.arange(count) if pairs is None else np.array(pairs),
        tuple(subtasks) if subtasks else ("color",) * count,
        scores,
    )


def suite_pairs(count=3, subtask="color"):
    return [PromptPair(i, f"p{i}", subtask, (f"a {i}", f"b {i}")) for i in range(count)]


def tables(element=SCORE):
    def build(shape):
        count, samples = shape
        rows = st.lists(
            st.lists(st.lists(element, min_size=samples, max_size=samples), min_size=2, max_size=2),
            min_size=count,
            max_size=count,
        )
        names = st.lists(st.sampled_from(["color", "text", "position"]), min_size=count, max_size=count)
        return st.builds(own_table, rows, names)

    return st.tuples(st.integers(1, 8), st.integers(1, 4)).flatmap(build)


@given(tables())
def test_values_equal_a_plain_loop(table):
    values = pair_values(table)
    for i, own in enumerate(table.own):
        scores = [float(s) for s in own.ravel()]
        assert values.a[i] == pytest.approx(sum(scores) / len(scores), abs=1e-12)
        logs = sum(math.log(s) for s in scores) / len(scores) if min(scores) > 0 else -math.inf
        assert values.g[i] == pytest.approx(math.exp(logs), abs=1e-12)
        assert values.passed[i] == all(s >= 0.5 for s in scores)


@given(tables())
def test_geometric_mean_never_exceeds_the_arithmetic(table):
    values = pair_values(table)
    assert (values.g <= values.a).all()
    assert (values.gap >= 0).all()
    assert ((values.a >= 0) & (values.a <= 1)).all()
    zero = (table.own == 0).any(axis=(1, 2))
    assert ((values.g == 0) == zero).all()  # exactly 0 where a score is, and only there


@given(tables(UNSCORED), st.randoms(use_true_random=False), st.sampled_from(["exclude", "zero"]))
def test_the_order_of_pairs_changes_nothing(table, random, reading):
    order = list(range(len(table.pairs)))
    random.shuffle(order)
    shuffled = ScoreTable(table.pairs[order], tuple(table.subtasks[i] for i in order), table.scores[order])
    values, other = pair_values(table, reading), pair_values(shuffled, reading)
    for name in ("pairs", "a", "g", "gap", "passed"):
        assert np.array_equal(getattr(values, name), getattr(other, name))
    assert values.subtask_names == other.subtask_names
    assert repr(subtask_means(values)) == repr(subtask_means(other))


def test_many_samples_do_not_underflow():
    values = pair_values(own_table(np.full((1, 2, 200), 1e-3)))
    assert values.g[0] == pytest.approx(1e-3, rel=1e-12)


def test_equal_scores_have_no_gap():
    values = pair_values(own_table(np.full((1, 2, 2), 0.7)))
    assert values.gap[0] == pytest.approx(0, abs=1e-15)
    assert values.gap[0] >= 0


def test_unscored_images_keep_their_pair_out_or_count_as_zero():
    table = own_table([[[0.8, 0.8], [0.8, math.nan]], [[0.6, 0.6], [0.6, 0.6]]], ["color", "text"], [4, 2])
    kept, zeroed = pair_values(table), pair_values(table, "zero")
    assert kept.pairs.tolist() == [2]
    assert kept.subtask_names == ("text", "color")  # suite order, also of the subtask that lost its only pair
    assert zeroed.pairs.tolist() == [2, 4]
    assert zeroed.a.tolist() == pytest.approx([0.6, 0.6])
    assert zeroed.g.tolist() == pytest.approx([0.6, 0.0])
    means = subtask_means(kept)
    assert means["color"].pairs == 0
    assert math.isnan(means["color"].s_a)
    assert math.isnan(macro(means).s_g)  # five of six subtasks are not the average
    assert pair_weighted(kept).s_a == pytest.approx(0.6)


def test_macro_weighs_subtasks_and_pair_weighted_weighs_pairs():
    rows = np.concatenate([np.full((3, 2, 2), 0.9), np.full((1, 2, 2), 0.1)])
    values = pair_values(own_table(rows, ["color", "color", "color", "text"]))
    assert macro(subtask_means(values)).s_a == pytest.approx(0.5)
    assert pair_weighted(values).s_a == pytest.approx(0.7)


def test_a_pair_passes_at_one_half():
    values = pair_values(own_table([[[0.5, 0.5], [0.5, 0.5]], [[0.5, 0.5], [0.5, 0.4999]]]))
    assert values.passed.tolist() == [True, False]


def test_a_table_names_every_fault_at_once():
    with pytest.raises(ValueError, match="one for each pair") as caught:
        ScoreTable(np.array([1, 1]), ("color",), np.full((2, 2, 2, 2), 1.5))
    assert "occurs more than once" in str(caught.value)
    assert "must lie in [0, 1]" in str(caught.value)
    assert "(16 such)" in str(caught.value)
    with pytest.raises(ValueError, match="must have shape"):
        ScoreTable(np.array([0]), ("color",), np.zeros((1, 2, 2)))
    with pytest.raises(ValueError, match="log_odds must have the shape"):
        ScoreTable(np.array([0]), ("color",), np.zeros((1, 2, 2, 2)), np.zeros((1, 2, 2)))
    with pytest.raises(ValueError, match="positions from 0"):
        ScoreTable(np.array([-1]), ("color",), np.zeros((1, 2, 2, 2)))


def test_a_table_cannot_be_changed_behind_its_back():
    scores = np.zeros((1, 2, 2, 2))
    table = ScoreTable(np.array([0]), ("color",), scores)
    scores[:] = 1
    assert table.own.max() == 0
    with pytest.raises(ValueError, match="read-only"):
        table.scores[0, 0, 0, 0] = 1


# Contrast


def contrast_by_loop(x):
    """Text, image and group score of ``x [2, K, 2]`` by enumeration."""
    samples = x.shape[1]
    wins = []
    for k0, k1 in itertools.product(range(samples), repeat=2):
        text = x[0, k0, 0] > x[0, k0, 1] and x[1, k1, 1] > x[1, k1, 0]
        image = x[0, k0, 0] > x[1, k1, 0] and x[1, k1, 1] > x[0, k0, 1]
        wins.append((text, image, text and image))
    return np.mean(wins, axis=0)


@pytest.mark.parametrize("samples", [1, 2, 3])
def test_contrast_equals_enumeration(samples):
    generator = np.random.default_rng(samples)
    scores = generator.integers(0, 5, (30, 2, samples, 2)) / 4  # coarse, so that ties occur
    values = contrast_values(ScoreTable(np.arange(30), ("color",) * 30, scores))
    for i in range(30):
        expected = contrast_by_loop(scores[i])
        assert [values.text[i], values.image[i], values.group[i]] == pytest.approx(expected)
        own = (scores[i, 0, :, 0].mean() + scores[i, 1, :, 1].mean()) / 2
        cross = (scores[i, 0, :, 1].mean() + scores[i, 1, :, 0].mean()) / 2
        assert values.margin[i] == pytest.approx(own - cross)


def test_chance_is_what_random_scores_reach():
    scores = np.random.default_rng(0).random((20_000, 2, 1, 2))
    values = contrast_values(ScoreTable(np.arange(20_000), ("color",) * 20_000, scores))
    assert values.text.mean() == pytest.approx(1 / 4, abs=0.015)
    assert values.image.mean() == pytest.approx(1 / 4, abs=0.015)
    assert values.group.mean() == pytest.approx(1 / 6, abs=0.015)


def test_ties_fail_and_log_odds_break_ties_of_rounded_scores():
    scores = np.ones((1, 2, 1, 2))
    tied = contrast_values(ScoreTable(np.array([0]), ("color",), scores))
    assert [tied.text[0], tied.image[0], tied.group[0]] == [0, 0, 0]
    log_odds = np.full((1, 2, 1, 2), 20.0)
    log_odds[0, 0, 0, 0] = log_odds[0, 1, 0, 1] = 30.0
    told = contrast_values(ScoreTable(np.array([0]), ("color",), scores, log_odds))
    assert [told.text[0], told.image[0], told.group[0]] == [1, 1, 1]
    log_odds[0, 0, 0, 0] = np.nan  # one is missing: the scores decide, all of them
    assert contrast_values(ScoreTable(np.array([0]), ("color",), scores, log_odds)).group[0] == 0


def test_contrast_needs_cross_scores_and_two_prompts():
    assert contrast_values(own_table(np.ones((2, 2, 2)))) is None
    assert contrast_values(ScoreTable(np.array([0]), ("color",), np.ones((1, 1, 2, 1)))) is None
    scores = np.random.default_rng(0).random((2, 2, 2, 2))
    scores[0, 1, 0, 0] = np.nan
    values = contrast_values(ScoreTable(np.array([5, 3]), ("color", "text"), scores))
    assert values.pairs.tolist() == [3]
    assert values.subtask_names == ("text", "color")


# The official score file


@given(tables(UNSCORED))
def test_official_scores_survive_a_round_trip(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("scores") / "score.json"
    if np.isnan(table.own).all():
        return
    write_official_scores(path, table)
    pairs = [PromptPair(i, str(i), subtask, ("a", "b")) for i, subtask in enumerate(table.subtasks)]
    again = read_official_scores(path, pairs)
    own = table.own[:, :, : again.samples]
    assert np.array_equal(again.own, own, equal_nan=True)
    assert np.isnan(table.own[:, :, again.samples :]).all()  # samples that nobody scored are not in the file
    assert again.subtasks == table.subtasks


def test_unscored_images_are_left_out_of_the_file():
    text = official_scores_json(own_table([[[0.5, math.nan], [0.25, 1.0]], [[math.nan] * 2] * 2]))
    assert json.loads(text) == {
        "0": [
            {"pair_idx": 0, "prompt_idx": 0, "image_idx": 0, "score": 0.5},
            {"pair_idx": 0, "prompt_idx": 1, "image_idx": 0, "score": 0.25},
            {"pair_idx": 0, "prompt_idx": 1, "image_idx": 1, "score": 1.0},
        ]
    }


def test_nan_and_null_in_the_file_are_unscored(tmp_path):
    path = tmp_path / "score.json"
    entry = '{"pair_idx": 0, "prompt_idx": %d, "image_idx": 0, "score": %s}'
    path.write_text('{"0": [' + entry % (0, "NaN") + "," + entry % (1, "null") + "]}")
    assert np.isnan(read_official_scores(path, suite_pairs()).own).all()


def test_every_fault_of_the_file_is_named_at_once(tmp_path):
    def entry(pair=0, prompt=0, image=0, score=0.5, **more):
        return {"pair_idx": pair, "prompt_idx": prompt, "image_idx": image, "score": score, **more}

    path = tmp_path / "score.json"
    contents = {
        "0": [entry(), entry(), entry(pair=1), entry(prompt=2), entry(image=-1), entry(image=10**9)],
        "1": [entry(1, score=1.5), entry(1, 1, score="0.5"), entry(1, 1, 1, extra=1), entry(1, True), 7],
        "3": [],
        "x": [],
        "2": {},
    }
    path.write_text(json.dumps(contents))
    with pytest.raises(RunError) as caught:
        read_official_scores(path, suite_pairs())
    message = str(caught.value)
    assert "\n" not in message
    for said in (
        "pair 0, entry 1: image 0, 0 occurs more than once",
        "pair 0, entry 2: pair_idx must be 0, got 1",
        "pair 0, entry 3: prompt_idx must be from 0 to 1, got 2",
        "pair 0, entry 4: image_idx",
        "pair 0, entry 5: image_idx",
        "pair 1, entry 0: score must lie in [0, 1], got 1.5",
        "pair 1, entry 1: score must lie in [0, 1], got '0.5'",
        "pair 1, entry 2: expected an object with",
        "pair 1, entry 3: prompt_idx",
        "pair 1, entry 4: expected an object",
        "pair '3': expected a position from 0 to 2",
        "pair 'x'",
        "pair 2: expected a list of scores, got dict",
    ):
        assert said in message


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        (b"", "not JSON"),
        (b'{"0": [', "not JSON"),
        (b"\xff\xfe{", "not JSON"),
        (b"[]", "expected an object of pairs, got list"),
        (b"{}", "it holds no scores"),
        (b'{"0": [], "0": []}', "occurs more than once"),
        (b'{"0": [{"pair_idx": 0, "prompt_idx": 0, "image_idx": 0, "score": Infinity}]}', "got inf"),
    ],
)
def test_files_that_are_no_score_files(tmp_path, contents, said):
    path = tmp_path / "score.json"
    path.write_bytes(contents)
    with pytest.raises(RunError, match=said):
        read_official_scores(path, suite_pairs())


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(RunError, match="cannot be read"):
        read_official_scores(tmp_path / "none.json", suite_pairs())
    with pytest.raises(RunError, match="cannot be read"):
        read_official_scores(tmp_path, suite_pairs())
    with pytest.raises(RunError, match="cannot be written"):
        write_official_scores(tmp_path, own_table(np.ones((1, 2, 2))))


@pytest.fixture
def official_data():
    folder = os.environ.get("PAIRCOMP_DATA_DIR")
    if not folder:
        pytest.skip("PAIRCOMP_DATA_DIR is not set: the official files may not be shipped")
    path = Path(folder)
    for name in ("PairComp.json", "official_scores_seed7.json", "official_scores_seed7.expected.json"):
        if not (path / name).exists():
            pytest.skip(f"PAIRCOMP_DATA_DIR has no {name}")
    return path


def test_numbers_equal_those_of_the_published_summary_script(official_data):
    listed = json.loads((official_data / "PairComp.json").read_text(encoding="utf-8"))
    pairs = [
        PromptPair(i, str(i), row["category"].removesuffix(" difference"), (row["caption1"], row["caption2"]))
        for i, row in enumerate(listed)
    ]
    expected = json.loads((official_data / "official_scores_seed7.expected.json").read_text(encoding="utf-8"))
    table = read_official_scores(official_data / "official_scores_seed7.json", pairs)
    means = subtask_means(pair_values(table))
    means["Average"] = macro(means)
    assert set(means) == set(expected)
    for name, row in expected.items():
        assert means[name].s_a == pytest.approx(row["s_a"], abs=1e-12)
        assert means[name].s_g == pytest.approx(row["s_g"], abs=1e-12)
        assert means[name].gap == pytest.approx(row["s_a"] - row["s_g"], abs=1e-12)
    written = json.loads(official_scores_json(table))
    assert written == json.loads((official_data / "official_scores_seed7.json").read_text(encoding="utf-8"))
