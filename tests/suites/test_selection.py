"""Partial runs: spread over the subtasks, and nested."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paircomp.errors import ConfigError
from paircomp.suites import select_pairs
from paircomp.types import PromptPair, Suite


def suite_of(subtasks: list[str]) -> Suite:
    pairs = [PromptPair(index, str(index), name, (f"{index} a", f"{index} b")) for index, name in enumerate(subtasks)]
    return Suite("made", tuple(pairs), "")


SUITES = st.lists(st.sampled_from(["color", "text", "counting", "spatial_left_of"]), min_size=1, max_size=60).map(
    suite_of
)


@settings(deadline=None)
@given(SUITES, st.integers(1, 70), st.integers(0, 30))
def test_a_larger_limit_only_adds(suite: Suite, limit: int, more: int) -> None:
    taken = select_pairs(suite, limit=limit)

    assert len(taken) == min(limit, len(suite.pairs))
    assert list(taken) == sorted(set(taken))
    assert set(taken) <= set(select_pairs(suite, limit=limit + more))


@settings(deadline=None)
@given(SUITES, st.integers(1, 70))
def test_subtasks_share_evenly_until_one_runs_out(suite: Suite, limit: int) -> None:
    has = Counter(pair.subtask for pair in suite.pairs)
    gets = Counter(suite.pairs[position].subtask for position in select_pairs(suite, limit=limit))

    most = max(gets.values())
    assert all(gets[name] == has[name] or gets[name] >= most - 1 for name in has)


def test_no_limit_takes_everything() -> None:
    suite = suite_of(["color"] * 3 + ["text"] * 2)

    assert select_pairs(suite) == select_pairs(suite, subtasks=()) == (0, 1, 2, 3, 4)
    assert select_pairs(suite, subtasks=["text"]) == (3, 4)
    assert select_pairs(suite, subtasks=["Text difference", "color"], limit=99) == (0, 1, 2, 3, 4)


def test_the_order_is_fixed() -> None:
    """Resumed partial runs rely on it, so a change here breaks runs that exist."""
    suite = suite_of(["color"] * 20 + ["text"] * 20)

    assert select_pairs(suite, limit=6) == (8, 9, 13, 23, 29, 39)


def test_every_wrong_request_is_named() -> None:
    suite = suite_of(["color", "text"])

    with pytest.raises(ConfigError) as caught:
        select_pairs(suite, limit=0, subtasks=["colour", "weather", "text"])

    assert caught.value.faults == (
        "--limit: expected at least 1, got 0",
        "--subtask: unknown subtask 'colour'; did you mean 'color'?",
        "--subtask: unknown subtask 'weather'; there are: color, text",
    )
