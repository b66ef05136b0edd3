"""Ranks, ties and which rows share a board."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paircomp.comparison import compare
from paircomp.evaluation import EvaluatedRun
from paircomp.scoring import ScoreTable
from paircomp_leaderboard.boards import make_boards
from paircomp_leaderboard.entries import Entry, read_entries, read_entry
from paircomp_leaderboard.published import published_entries
from paircomp_leaderboard.ranking import rank

SUBTASKS = ("color", "text", "counting")


def table(level: float, *, seed: int, pairs: int = 60, missing: int = 0) -> ScoreTable:
    """Scores around a level; pairs are as hard in every table, models differ by their own noise."""
    hard = np.random.default_rng(0).normal(0, 0.15, (pairs, 1, 1))
    own = np.clip(level + hard + np.random.default_rng(seed).normal(0, 0.1, (pairs, 2, 2)), 0.01, 0.99)
    scores = np.full((pairs, 2, 2, 2), np.nan)
    for prompt in range(2):
        scores[:, prompt, :, prompt] = own[:, prompt]
    scores[:missing] = np.nan
    return ScoreTable(np.arange(pairs), tuple(SUBTASKS[i % 3] for i in range(pairs)), scores)


def test_each_test_is_the_one_that_compare_makes() -> None:
    tables = {"a": table(0.8, seed=1), "b": table(0.75, seed=2), "c": table(0.74, seed=3, missing=9)}
    ranking = rank(tables)
    assert ranking.draws == 10_000
    for matchup in ranking.matchups:
        single = compare(tables[matchup.first], tables[matchup.second]).average
        assert matchup.pairs == single.pairs
        assert matchup.difference == pytest.approx(single.s_g.difference, abs=1e-12)
        assert matchup.p == single.s_g.p
        assert matchup.ci == pytest.approx(single.s_g.ci, abs=1e-12)


def test_holm_is_over_all_pairs_of_rows() -> None:
    ranking = rank({name: table(level, seed=7) for name, level in (("a", 0.8), ("b", 0.8), ("c", 0.5))})
    p = {(m.first, m.second): (m.p, m.p_holm) for m in ranking.matchups}
    assert p["a", "b"] == (1.0, 1.0)
    assert p["a", "c"][1] == pytest.approx(3 * p["a", "c"][0])  # three tests, the smallest p


def test_ranks_are_intervals_by_the_one_rule() -> None:
    ranking = rank(
        {"x": table(0.5, seed=4), "a": table(0.8, seed=1), "b": table(0.795, seed=2), "z": table(0.2, seed=5)}
    )
    assert {name: ranking.interval(name) for name in ranking.names} == {
        "x": (3, 3),
        "a": (1, 2),
        "b": (1, 2),
        "z": (4, 4),
    }
    assert ranking.tied_with("a") == ("b",)
    assert ranking.beats("x") == ("z",)
    seen = ranking.matchup("z", "a")
    assert seen is not None
    assert seen.difference < -0.3
    assert seen.ci[0] < seen.difference < seen.ci[1]


@settings(max_examples=15)
@given(st.permutations(["a", "b", "c", "d"]))
def test_no_order_changes_a_rank(order: list[str]) -> None:
    levels = {"a": 0.8, "b": 0.79, "c": 0.7, "d": 0.4}
    tables = {name: table(levels[name], seed=ord(name)) for name in order}
    ranking = rank(tables)
    for name in order:
        low, high = ranking.interval(name)
        assert low == 1 + len(ranking.beaten_by(name))
        assert high == 4 - len(ranking.beats(name))
        assert 1 <= low <= high <= 4
    assert ranking.interval("d") == (4, 4)
    assert ranking.interval("a") == (1, 2)


def test_many_rows_get_enough_draws_to_tell_them_apart() -> None:
    ranking = rank({str(i): table(0.1 + 0.1 * i, seed=i, pairs=18) for i in range(8)}, alpha=0.001)
    assert ranking.draws == 2 * 28 / 0.001
    assert 28 / (ranking.draws + 1) < ranking.alpha


def test_rows_without_a_common_pair_are_tied() -> None:
    first = table(0.9, seed=1)
    second = ScoreTable(first.pairs + 100, first.subtasks, table(0.1, seed=2).scores)
    ranking = rank({"a": first, "b": second})
    assert ranking.interval("a") == ranking.interval("b") == (1, 2)
    assert ranking.matchups[0].p is None


def test_a_board_ranks_good_before_poor(entries: Path) -> None:
    (board,) = make_boards(read_entries(entries))
    ranks = {row.entry.label: row.ranks for row in board.rows}
    assert ranks["good"] == ranks["fair"] == (1, 2)
    assert ranks["poor"] == (3, 4)  # tied with the same run under another name
    assert [row.average["s_g"] for row in board.rows] == sorted(
        (row.average["s_g"] for row in board.rows), reverse=True
    )


def test_other_judges_suites_and_k_have_other_boards(entries: Path) -> None:
    def variant(entry: Entry, change: Callable[[dict[str, Any]], Any]) -> Entry:
        said = json.loads(json.dumps(entry.said))
        change(said)
        return Entry(f"{entry.name}-x", said, entry.pairs)

    entry = read_entries(entries)[0]
    others = [
        variant(entry, lambda said: said["judge"].update(name="another")),
        variant(entry, lambda said: said["judge"]["identity"].update(options={"floor": 0.1})),
        variant(entry, lambda said: said["suite"].update(digest="0" * 64)),
        variant(entry, lambda said: said["suite"].update(samples=4)),
    ]
    boards = make_boards([entry, *others, *published_entries()])
    assert [len(board.rows) for board in boards] == [1, 1, 1, 1, 1, 19]
    assert len({board.name for board in boards}) == 6


def test_reported_rows_are_never_ranked(entries: Path) -> None:
    measured, reported = make_boards([*read_entries(entries), *published_entries()])
    assert measured.measured
    assert not reported.measured
    assert all(row.ranks is None and row.unranked for row in reported.rows)
    assert all(row.entry.measured for row in measured.rows)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda r: r["coverage"].update(fraction=0.97), "coverage 97.0% is below 98%"),
        (lambda r: r["suite"].update(partial=True, selected_pairs=12), "partial: 12 of 48 pairs"),
        (lambda r: r["average"].update(s_g=None), "no average"),
    ],
)
def test_some_rows_are_shown_and_not_ranked(
    entries: Path, edited: Callable[..., Path], change: Callable[[dict[str, Any]], Any], reason: str
) -> None:
    low = read_entry(edited(lambda said: change(said["report"]), name="good--small-shapes--pixels"))
    others = [entry for entry in read_entries(entries) if entry.label != "good"]
    (board,) = make_boards([low, *others])
    assert board.rows[-1].entry is low
    assert board.rows[-1].ranks is None
    assert reason in board.rows[-1].unranked[0]
    assert {row.ranks for row in board.rows[:-1]} <= {(1, 1), (2, 3)}


def test_a_row_trained_on_its_judge_is_not_ranked(edited: Callable[..., Path]) -> None:
    def train(said: dict[str, Any]) -> None:
        said["trained_with_judge"] = said["report"]["generator"]["trained_with_judge"] = "pixels"

    (board,) = make_boards([read_entry(edited(train))])
    assert board.rows[0].ranks is None
    assert "trained with this judge's score (pixels)" in board.rows[0].unranked


def test_a_row_trained_on_a_variant_of_its_judge_is_not_ranked_and_says_so(
    edited: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from paircomp_leaderboard.recomputing import summary_faults

    def train(said: dict[str, Any]) -> None:
        said["trained_with_judge"] = said["report"]["generator"]["trained_with_judge"] = "pixels-exact"

    entry = read_entry(edited(train))
    (board,) = make_boards([entry])
    assert "trained with this judge's score (pixels-exact)" in board.rows[0].unranked
    (fault,) = summary_faults(entry)
    assert "TRAINED WITH THIS JUDGE: pixels-exact was this model's training reward" in fault


def test_unscored_images_lower_the_coverage_of_an_entry(runs: dict[str, EvaluatedRun], tmp_path: Path) -> None:
    import shutil

    import paircomp
    from paircomp_leaderboard.recomputing import summary_faults
    from paircomp_leaderboard.recording import add_entry

    shutil.copytree(runs["good"].run.path, tmp_path / "run")
    for sample in range(2):
        (tmp_path / "run" / "images" / f"0_0_{sample}.png").unlink()
    (tmp_path / "run" / "images" / "5_1_0.png").unlink()
    (tmp_path / "run" / "images" / "9_1_0.png").unlink()
    entry = add_entry(paircomp.load_run(tmp_path / "run"), tmp_path / "entries")
    assert summary_faults(entry) == []
    assert entry.pairs[0]["unscored"] == [{"prompt": 0, "sample": 0, "reason": "missing: no image"},
                                          {"prompt": 0, "sample": 1, "reason": "missing: no image"}]  # fmt: skip
    (board,) = make_boards([entry])
    assert "coverage 97.9% is below 98%" in board.rows[0].unranked
