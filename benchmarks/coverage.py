"""Do 95% intervals hold the truth 95 times in 100?

    python benchmarks/coverage.py --pool pool.npz             # ten minutes; the pool is kept for the next time
    python benchmarks/coverage.py --pool pool.npz --methods   # also the interval methods that were not chosen
    python benchmarks/coverage.py --quick                     # under a minute: few pairs, few replicates

The truth is known because it is made: `sketch` models at several rates of mistakes draw many new pairs of the shapes
grammar with new seeds, the `pixels` judge scores the pictures, and the mean over this pool is the truth. A replicate is
a small benchmark: so many pairs a subtask drawn from the pool. Each replicate gets the intervals that a report would
give, computed here for all replicates at once and held against the package's own on some of them. Counted is how often
the truth lies below, inside and above.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from interval_methods import (
    METHODS,
    Draws,
    difference_intervals,
    redraw,
    resampling_counts,
    score_intervals,
    studentised_macro,
)
from numpy.typing import NDArray

from paircomp.judges.pixels import pixels
from paircomp.runtime.machine import package_versions, this_machine
from paircomp.shapes import Dice, Wording, sample_pair, write_prompt
from paircomp.statistics import mean_interval, paired_differences
from paircomp.statistics.averages import AverageIntervals
from paircomp.types import GenerationRequest, ImageKey, JudgeRequest, Question, Subtask, image_seed
from paircomp_adapters.sketch import sketch

Floats = NDArray[np.float64]

AIM = (0.93, 0.97)
SCORED_RANGE = (0.2, 0.9)
RANGES = ((0.0, 0.05), (0.05, 0.1), (0.1, 0.2), (0.2, 0.9), (0.9, 0.95), (0.95, 1.0))
MEASURES = ("s_a", "s_g", "gap", "full_pass")
CHUNK = 250  # replicates whose bootstrap draws are held at a time


class Rates(NamedTuple):
    """Options of `sketch`."""

    mistakes: float
    blemishes: float
    steadiness: float

    @property
    def name(self) -> str:
        """Mistakes/blemishes/steadiness."""
        return f"{self.mistakes:g}/{self.blemishes:g}/{self.steadiness:g}"


MODELS = (
    Rates(0.95, 0.1, 0.5),
    Rates(0.8, 0.1, 0.5),
    Rates(0.65, 0.3, 0.5),
    Rates(0.5, 0.1, 0.9),
    Rates(0.35, 0.3, 0.2),
    Rates(0.25, 0.1, 0.5),
    Rates(0.15, 0.5, 0.5),
    Rates(0.08, 0.1, 0.5),
    Rates(0.04, 0.05, 0.9),
    Rates(0.01, 0.05, 0.5),
)
QUICK_MODELS = (MODELS[2], MODELS[5], MODELS[8])


class Cell(NamedTuple):
    """Coverage of one interval: one model, subtask (or macro average), measure and number of pairs a subtask."""

    model: str
    subtask: str
    measure: str
    pairs: int
    truth: float
    below: float
    above: float
    width: float
    in_range: bool

    @property
    def coverage(self) -> float:
        """Share of the replicates whose interval holds the truth."""
        return 1 - self.below - self.above


# The pool


def draw_pool(models: Sequence[Rates], pairs: int) -> dict[str, Floats]:
    """Model -> own scores ``[6, pairs, 4]`` of new pairs; the pairs and seeds are the same for all models."""
    prompts = {subtask: list(new_pairs(subtask, pairs)) for subtask in Subtask}
    pool = {}
    for rates in models:
        started = time.perf_counter()
        pool[rates.name] = np.array([own_scores(rates, subtask, prompts[subtask]) for subtask in Subtask])
        print(f"drew {rates.name}: {time.perf_counter() - started:.0f} s", flush=True)
    return pool


def new_pairs(subtask: Subtask, count: int) -> Iterator[tuple[str, str]]:
    dice = Dice(f"coverage/{subtask}")
    for _ in range(count):
        first, second = sample_pair(dice, subtask)
        wording = dice.pick(tuple(Wording))
        yield write_prompt(first, wording), write_prompt(second, wording)


def own_scores(rates: Rates, subtask: Subtask, prompts: Sequence[tuple[str, str]]) -> list[list[float]]:
    model, judge = sketch(**rates._asdict()), pixels()
    scores = []
    for pair, texts in enumerate(prompts):
        keys = [ImageKey(pair, prompt, sample) for prompt in (0, 1) for sample in (0, 1)]
        requests = [
            GenerationRequest(key, texts[key.prompt], image_seed(1, f"coverage/{subtask}", key)) for key in keys
        ]
        asked = [
            JudgeRequest(drawn.key, (drawn.image,), (Question(drawn.key.prompt, texts[drawn.key.prompt], subtask),))
            for drawn in model.generate(requests)
            if drawn.image is not None
        ]
        said = [judgement.score for judgement in judge.judge(asked)]
        scores.append([score for score in said if score is not None])
    return scores


def load_pool(path: Path | None, models: Sequence[Rates], pairs: int) -> dict[str, Floats]:
    if path is not None and path.exists():
        with np.load(path) as stored:
            pool = {name: stored[name] for name in stored.files}
        missing = [rates.name for rates in models if rates.name not in pool]
        if missing:
            raise SystemExit(f"{path} lacks models {', '.join(missing)}; next: delete it or name another --pool")
        return {rates.name: pool[rates.name] for rates in models}
    pool = draw_pool(models, pairs)
    if path is not None:
        np.savez_compressed(path, **pool)  # type: ignore[arg-type]
    return pool


def pair_measures(own: Floats) -> dict[str, Floats]:
    """Measure -> ``[6, P]`` from own scores ``[6, P, 4]``."""
    a = own.mean(axis=2)
    g = np.minimum(own.prod(axis=2) ** (1 / own.shape[2]), a)
    return {"s_a": a, "s_g": g, "gap": a - g, "full_pass": (own >= 0.5).all(axis=2).astype(np.float64)}


# Coverage


def study(pool: dict[str, Floats], sizes: Sequence[int], replicates: int, draws: int) -> Iterator[Cell]:
    """Every cell: subtasks and macro average of each model, then differences of neighbouring models."""
    for pairs in sizes:
        counts = resampling_counts([str(subtask) for subtask in Subtask], pairs, draws)
        previous: dict[str, Floats] | None = None
        for seed, (model, own) in enumerate(pool.items()):
            rows = np.random.default_rng([seed, pairs]).integers(0, own.shape[1], (len(Subtask), replicates, pairs))
            measures = pair_measures(own)
            means = {name: values.mean(axis=1) for name, values in measures.items()}
            scored = np.all([in_range(means[name]) for name in ("s_a", "s_g")], axis=0)
            for name in MEASURES:
                # A pass rate is a count out of n: its coverage jumps with the truth whatever the method.
                fits = {"gap": scored, "full_pass": np.zeros(6, dtype=bool)}.get(name, in_range(means[name]))
                yield from cells(model, name, measures[name], rows, counts, fits)
            if previous is not None:
                for name in ("s_a", "s_g"):
                    shift = measures[name] - previous[name]
                    yield from cells(model, f"difference of {name}", shift, rows, counts, np.zeros(6, dtype=bool))
            previous = measures


def in_range(truth: Floats) -> NDArray[np.bool_]:
    return (truth >= SCORED_RANGE[0]) & (truth <= SCORED_RANGE[1])


def cells(
    model: str, measure: str, values: Floats, rows: NDArray[np.int64], counts: Draws, fits: NDArray[np.bool_]
) -> Iterator[Cell]:
    drawn = np.stack([values[k][rows[k]] for k in range(len(values))])  # [6, R, n]
    paired = measure.startswith("difference")
    passes = measure == "full_pass"
    low, high = difference_intervals(drawn) if paired else score_intervals(drawn, passes=passes)  # [6, R] each
    if not paired:
        check_subtask(drawn, low, high, passes=passes)
    truth = values.mean(axis=1)
    for k, subtask in enumerate(Subtask):
        yield cell(model, subtask, measure, rows.shape[2], truth[k], low[k], high[k], in_range=bool(fits[k]))
    low, high = macro_intervals(drawn, counts, paired=paired)
    if paired:
        check_differences(drawn, low, high, counts.size)
    else:
        check_macro(drawn, low, high, counts.size)
    inside = bool(fits.all()) or (measure in {"s_a", "s_g"} and bool(in_range(truth.mean())))
    yield cell(model, "macro", measure, rows.shape[2], truth.mean(), low, high, in_range=inside)


def cell(
    model: str, subtask: str, measure: str, pairs: int, truth: float, low: Floats, high: Floats, *, in_range: bool
) -> Cell:
    below, above = float((truth < low).mean()), float((truth > high).mean())
    return Cell(model, str(subtask), measure, pairs, float(truth), below, above, float((high - low).mean()), in_range)


def macro_intervals(drawn: Floats, counts: Draws, *, paired: bool) -> tuple[Floats, Floats]:
    chunks = [
        studentised_macro(drawn[:, start : start + CHUNK], counts, paired=paired)
        for start in range(0, drawn.shape[1], CHUNK)
    ]
    return np.concatenate([low for low, _ in chunks]), np.concatenate([high for _, high in chunks])


def check_subtask(drawn: Floats, low: Floats, high: Floats, *, passes: bool) -> None:
    """The intervals above are those of the package; Wilson's has tests of its own."""
    for row in range(0 if passes else 5):
        expected = mean_interval(drawn[0, row])
        if expected is None or not np.allclose(expected, (low[0, row], high[0, row]), atol=1e-9):
            raise SystemExit(f"subtask interval differs from the package's: {expected}, {low[0, row]}, {high[0, row]}")


def check_macro(drawn: Floats, low: Floats, high: Floats, draws: int) -> None:
    for row in range(2):
        strata = {str(subtask): drawn[k, row][:, None] for k, subtask in enumerate(Subtask)}
        expected = AverageIntervals(strata, ("x",), level=0.95, draws=draws, seed=0).macro()["x"]
        if expected is None or not np.allclose(expected, (low[row], high[row]), atol=1e-9):
            raise SystemExit(f"macro interval differs from the package's: {expected}, {low[row]}, {high[row]}")


def check_differences(drawn: Floats, low: Floats, high: Floats, draws: int) -> None:
    for row in range(2):
        shifts = {str(subtask): drawn[k, row][:, None] for k, subtask in enumerate(Subtask)}
        zeros = {name: np.zeros_like(values) for name, values in shifts.items()}
        found = paired_differences(zeros, shifts, draws=draws)
        subtasks = difference_intervals(drawn[:, row])
        expected = [found.macro[0].ci, *(of_subtask[0].ci for of_subtask in found.strata.values())]
        given = [(low[row], high[row]), *zip(*subtasks, strict=True)]
        if None in expected or not np.allclose(np.array(expected, dtype=float), given, atol=1e-9):
            raise SystemExit(f"interval of differences differs from the package's: {expected}, {given}")


# The methods that were not chosen


def study_methods(pool: dict[str, Floats], pairs: int, replicates: int, draws: int) -> list[dict[str, Any]]:
    """Coverage of each candidate method within subtasks, per range of the truth."""
    found: dict[tuple[str, str, int], list[tuple[float, float, float]]] = {}
    counts = resampling_counts(["candidate"], pairs, draws)
    for seed, own in enumerate(pool.values()):
        for name, values in pair_measures(own).items():
            if name == "full_pass":
                continue
            for k, population in enumerate(values):
                rows = np.random.default_rng([seed, k]).integers(0, len(population), (replicates, pairs))
                truth, drawn = population.mean(), population[rows]
                redrawn = redraw(drawn, counts, 0)
                for method, interval in METHODS.items():
                    low, high = interval(drawn, redrawn)
                    outcome = (float((truth < low).mean()), float((truth > high).mean()), float((high - low).mean()))
                    found.setdefault((method, name, range_of(truth)), []).append(outcome)
    return [method_row(key, outcomes) for key, outcomes in sorted(found.items())]


def range_of(truth: float) -> int:
    return next(i for i, (_, high) in enumerate(RANGES) if truth <= high)


def method_row(key: tuple[str, str, int], outcomes: list[tuple[float, float, float]]) -> dict[str, Any]:
    below, above, width = np.array(outcomes).T
    coverage = 1 - below - above
    return {
        "method": key[0], "measure": key[1], "range": list(RANGES[key[2]]), "cells": len(outcomes),
        "lowest": round(float(coverage.min()), 4), "mean": round(float(coverage.mean()), 4),
        "highest": round(float(coverage.max()), 4), "below": round(float(below.mean()), 4),
        "above": round(float(above.mean()), 4), "width": round(float(width.mean()), 4),
    }  # fmt: skip


# What is printed


def summarize_cells(found: Sequence[Cell]) -> list[dict[str, Any]]:
    groups: dict[tuple[str, int, str, str], list[Cell]] = {}
    for each in found:
        kind = "macro" if each.subtask == "macro" else "subtask"
        where = "all" if each.measure.startswith("difference") else "{}-{}".format(*RANGES[range_of(each.truth)])
        groups.setdefault((kind, each.pairs, each.measure, where), []).append(each)
    return [summary_row(key, members) for key, members in sorted(groups.items())]


def summary_row(key: tuple[str, int, str, str], members: Sequence[Cell]) -> dict[str, Any]:
    coverage = [each.coverage for each in members]
    return {
        "kind": key[0], "pairs": key[1], "measure": key[2], "truth": key[3], "cells": len(members),
        "lowest": round(min(coverage), 4), "mean": round(float(np.mean(coverage)), 4),
        "highest": round(max(coverage), 4), "below": round(float(np.mean([each.below for each in members])), 4),
        "above": round(float(np.mean([each.above for each in members])), 4),
        "width": round(float(np.mean([each.width for each in members])), 4),
    }  # fmt: skip


def print_rows(rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        print("| " + " | ".join(rows[0]) + " |")
        print("|" + " --- |" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")


def verdict(found: Sequence[Cell]) -> dict[str, Any]:
    """How many of the intervals for mean scores in [.2, .9] and macro averages cover 93 to 97 times in 100."""
    aimed = [each for each in found if each.in_range]
    outside = [each for each in aimed if not AIM[0] <= each.coverage <= AIM[1]]
    return {
        "cells_in_range": len(aimed),
        "within_aim": len(aimed) - len(outside),
        "outside_aim": [{**each._asdict(), "coverage": round(each.coverage, 4)} for each in outside],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few pairs and replicates, under a minute")
    parser.add_argument("--json", action="store_true", help="print the object alone")
    parser.add_argument("--pool", type=Path, help="file that keeps the scores of the pool")
    parser.add_argument("--methods", action="store_true", help="also the interval methods that were not chosen")
    parser.add_argument("--pairs", type=int, default=1000, help="pairs a subtask and model in the pool")
    parser.add_argument("--replicates", type=int, default=10_000)
    parser.add_argument("--draws", type=int, default=2000, help="of the bootstrap in each replicate")
    given = parser.parse_args()
    models, sizes = (QUICK_MODELS, (40,)) if given.quick else (MODELS, (40, 50))
    pairs, replicates, draws = (60, 500, 500) if given.quick else (given.pairs, given.replicates, given.draws)
    pool = load_pool(None if given.quick else given.pool, models, pairs)
    found = list(study(pool, sizes, replicates, draws))
    table, judged = summarize_cells(found), verdict(found)
    methods = study_methods(pool, 40, min(replicates, 2000), draws) if given.methods else []
    if not given.json:
        print_rows(table)
        print_rows(methods)
        print(f"{judged['within_aim']} of {judged['cells_in_range']} in range: coverage {AIM[0]:.0%} to {AIM[1]:.0%}")
    print(json.dumps({
        "benchmark": "coverage", "replicates": replicates, "draws": draws, "pool_pairs": pairs, "aim": AIM,
        "models": [rates.name for rates in models], **judged, "table": table, "methods": methods,
        "versions": package_versions(), "machine": this_machine().to_json(),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
