"""The shape of ``report.json``, for people who write Python and for those who do not.

The typed dictionaries below and ``schema.json`` (JSON Schema, draft 2020-12) say the same; a test holds them together.
Every renderer of this package reads such a dictionary and nothing else. All scores lie in [0, 1] and are unrounded; a
value that does not exist is null, never NaN and never 0. Readers must ignore fields they do not know.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any, Literal, NotRequired, TypedDict

__all__ = [
    "REPORT_SCHEMA",
    "Average",
    "ContrastScores",
    "ContrastSection",
    "Coverage",
    "Distribution",
    "GeneratorSection",
    "HeldOutScores",
    "HeldOutSection",
    "Interval",
    "IntervalMethod",
    "JudgeSection",
    "Reading",
    "Report",
    "ScoreCounts",
    "SuiteSection",
    "Summary",
    "TwoJudges",
    "UnscoredReading",
    "UnscoredReason",
    "WorstPair",
    "report_schema",
]

REPORT_SCHEMA = "paircomp-report/1"

Interval = list[float]
"""``[low, high]``, both in [0, 1]."""

UnscoredReading = Literal["exclude", "zero"]
"""What an unscored image does to its pair: leave the pair out, or count as score 0."""


class SuiteSection(TypedDict):
    """Which test cases: `pairs` in the suite, `selected_pairs` of them asked for, K = `samples` images a prompt.

    `subtasks` of the suite; reports written before it was recorded lack it.
    """

    name: str
    digest: str
    pairs: int
    selected_pairs: int
    partial: bool
    subtasks: NotRequired[int]
    samples: int
    prompts_public: bool
    source: str


class GeneratorSection(TypedDict):
    """Which model drew the images, by which recipe."""

    model: str
    adapter: str | None
    checkpoint: str | None
    revision: str | None
    recipe: dict[str, Any]
    seed: int | None
    supports_seeds: bool
    trained_with_judge: str | None


class JudgeSection(TypedDict):
    """Which judge scored them; `identity` is whatever decides its scores."""

    name: str
    identity: dict[str, Any]


class IntervalMethod(TypedDict):
    """How the intervals were made: `level` in (0, 1), bootstrap `draws` where the method draws."""

    level: float
    method: str
    draws: int | None
    seed: int | None


class Summary(TypedDict):
    """Means over `pairs` pairs; null where there are none, an interval is null below two pairs."""

    pairs: int
    s_a: float | None
    s_g: float | None
    gap: float | None
    full_pass: float | None
    zeros: int
    ci: dict[str, Interval | None]


class Average(Summary):
    """Macro mean: the mean of the means of `subtasks` subtasks."""

    subtasks: int


class Reading(TypedDict):
    """All means under one reading of unscored images."""

    subtasks: dict[str, Summary]
    average: Average
    pair_weighted: Summary


class ScoreCounts(TypedDict):
    """How many images there should be, how many have a score, how many have none."""

    images: int
    scored: int
    unscored: int


class UnscoredReason(TypedDict):
    """Why images have no score; `first` names one of them."""

    reason: str
    count: int
    first: str


class Coverage(ScoreCounts):
    """Counts over the run, by subtask and by reason; `fraction` is scored over images, null without images."""

    fraction: float | None
    by_subtask: dict[str, ScoreCounts]
    reasons: list[UnscoredReason]


class ContrastScores(TypedDict):
    """Own prompt against the pair's other prompt: how often the text, the image and both (group) are told apart."""

    pairs: int
    text: float | None
    image: float | None
    group: float | None
    margin: float | None
    ci: dict[str, Interval | None]


class ContrastSection(TypedDict):
    """Contrast scores by subtask, their macro mean, and what guessing would reach."""

    subtasks: dict[str, ContrastScores]
    average: ContrastScores
    chance: dict[str, float]


class Distribution(TypedDict):
    """Histograms of the pair values a and g: ``len(bins) - 1`` counts a subtask and value."""

    bins: list[float]
    subtasks: dict[str, dict[str, list[int]]]


class WorstPair(TypedDict):
    """One of the pairs of lowest g; `prompts` is null where the suite's texts are not public."""

    pair: int
    pair_id: str
    subtask: str
    a: float
    g: float
    gap: float
    prompts: list[str] | None
    prompt_sha256: list[str]


class TwoJudges(TypedDict):
    """One measure by the headline's judge and by the held-out one; the difference is the first minus the second."""

    judge: float | None
    held_out: float | None
    difference: float | None
    ci: Interval | None


class HeldOutScores(TypedDict):
    """Means over the `pairs` pairs that both judges scored in full."""

    pairs: int
    s_a: TwoJudges
    s_g: TwoJudges


class HeldOutSection(TypedDict):
    """The second opinion on a model that was trained with a judge's score; `problem` says why it is missing."""

    trained_with_judge: str
    judge: str | None
    identity: dict[str, Any] | None
    problem: str | None
    subtasks: dict[str, HeldOutScores]
    average: HeldOutScores | None


class Report(TypedDict):
    """The whole of ``report.json``; `docs/report.md` explains each field."""

    schema: str
    paircomp_version: str
    notices: list[str]
    suite: SuiteSection
    generator: GeneratorSection
    judge: JudgeSection
    unscored_reading: UnscoredReading
    interval: IntervalMethod
    subtasks: dict[str, Summary]
    average: Average
    pair_weighted: Summary
    readings: dict[str, Reading]
    coverage: Coverage
    contrast: NotRequired[ContrastSection | None]
    held_out: NotRequired[HeldOutSection]
    calibration: NotRequired[dict[str, Any]]
    distribution: Distribution
    worst_pairs: list[WorstPair]


def report_schema() -> dict[str, Any]:
    """The published JSON Schema (draft 2020-12) of ``report.json``."""
    text = resources.files("paircomp.report").joinpath("schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
