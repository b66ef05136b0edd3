"""Suites made by Python code follow the rules of files."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from paircomp.errors import SuiteError
from paircomp.suites import checked_suite
from paircomp.suites.shapes_suites import shapes_dev_suite, shapes_suite
from paircomp.types import PromptPair, Suite, suite_digest

FIRST = PromptPair(0, "first", "color", ("a red cat", "a blue cat"))
SECOND = PromptPair(1, "second", "spatial_left_of", ("a", "b"), {"level": 2})


def suite_of(*pairs: PromptPair, **changes: Any) -> Suite:
    return replace(Suite("made", pairs, suite_digest(pairs)), **changes)


def test_a_sound_suite_comes_back() -> None:
    for suite in (suite_of(FIRST, SECOND), shapes_suite(), shapes_dev_suite()):
        assert checked_suite(suite) is suite


@pytest.mark.parametrize(
    ("suite", "fault"),
    [
        (suite_of(), "holds no pairs"),
        (suite_of(FIRST, samples=0), "samples: expected at least 1, got 0"),
        (suite_of(FIRST, digest="0"), "digest: expected [0-9a-f]{64}, got '0'"),
        (suite_of(SECOND), "pair 0: its own position says 1"),
        (suite_of(replace(FIRST, subtask="Color")), "pair 0: subtask: expected 'color', got 'Color'"),
        (suite_of(replace(FIRST, prompts=("alone",))), "pair 0: 'prompts': expected a list of two, got 1"),
        (suite_of(FIRST, replace(SECOND, prompts=FIRST.prompts[::-1])), "pair 1: the pair of pair 0 again"),
        (suite_of(FIRST, replace(SECOND, pair_id="first")), "pair 1: pair_id 'first' is that of pair 0"),
        (suite_of(replace(FIRST, metadata={"x": {1}})), "pair 0: metadata: expected JSON values .*set"),
        (suite_of(replace(FIRST, metadata={"x": float("nan")})), "pair 0: metadata: expected JSON values"),
    ],
)
def test_faults_are_named_by_pair(suite: Suite, fault: str) -> None:
    with pytest.raises(SuiteError, match=f"suite made: {fault}"):
        checked_suite(suite)
