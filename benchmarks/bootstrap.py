"""What the statistics of one report cost: the stratified bootstrap against a plain loop over draws.

    python benchmarks/bootstrap.py
    python benchmarks/bootstrap.py --quick

550 pairs in the six subtasks of PairComp, four measures (s_a, s_g, gap, full pass), 10,000 draws. The plain loop makes
the same draws one at a time with numpy and gives the same numbers; it runs a part of the draws, its time is scaled up.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paircomp.comparison import compare
from paircomp.runtime.machine import package_versions, this_machine
from paircomp.scoring import ScoreTable, pair_values
from paircomp.statistics import sign_flips, stratified_bootstrap, summarize
from paircomp.types import Subtask

SIZES = dict(zip(Subtask, (250, 50, 50, 50, 100, 50), strict=True))
DRAWS = 10_000


def score_table(seed: int) -> ScoreTable:
    generator = np.random.default_rng(seed)
    subtasks = [str(subtask) for subtask, size in SIZES.items() for _ in range(size)]
    return ScoreTable(np.arange(len(subtasks)), tuple(subtasks), generator.beta(3, 1, (len(subtasks), 2, 2, 2)))


def plain_loop(
    strata: Mapping[str, NDArray[np.float64]], draws: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Redrawn macro means and their standard errors, ``[draws, M]`` each, a draw at a time."""
    rows = {
        name: np.random.default_rng([0, *name.encode()]).integers(0, len(values), size=(draws, len(values)))
        for name, values in strata.items()
    }
    means, errors = [], []
    for draw in range(draws):
        drawn = [values[rows[name][draw]] for name, values in strata.items()]
        means.append(np.mean([part.mean(axis=0) for part in drawn], axis=0))
        errors.append(np.sqrt(sum(part.var(axis=0, ddof=1) / len(part) for part in drawn)) / len(drawn))
    return np.array(means), np.array(errors)


def median_seconds(work: Callable[[], Any], repeats: int) -> float:
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    parser.add_argument("--json", action="store_true", help="print the object alone")
    given = parser.parse_args()
    repeats, looped = (3, 500) if given.quick else (11, 2000)
    table, other = score_table(0), score_table(1)
    values = pair_values(table)
    columns = np.column_stack([values.a, values.g, values.gap, values.passed])
    strata = {name: columns[rows] for name, rows in values.rows().items()}
    weights = [1 / len(strata)] * len(strata)

    redrawn = stratified_bootstrap(strata, weights, draws=looped)
    if not np.allclose((redrawn.means, redrawn.errors), plain_loop(strata, looped), atol=1e-12):
        raise SystemExit("the plain loop gives other numbers")
    seconds = {
        "bootstrap": median_seconds(lambda: stratified_bootstrap(strata, weights, draws=DRAWS), repeats),
        "plain_loop": median_seconds(lambda: plain_loop(strata, looped), 3) * DRAWS / looped,
        "sign_flips": median_seconds(lambda: sign_flips(strata, weights, draws=DRAWS), repeats),
        "summarize": median_seconds(lambda: summarize(table), repeats),
        "compare": median_seconds(lambda: compare(table, other), repeats),
    }
    if not given.json:
        for name, value in seconds.items():
            print(f"{name:>12}: {value:.3f} s")
    print(
        json.dumps(
            {
                "benchmark": "bootstrap",
                "pairs": sum(SIZES.values()),
                "draws": DRAWS,
                "vs_plain_loop": seconds["plain_loop"] / seconds["bootstrap"],
                "seconds": seconds,
                "versions": package_versions(),
                "machine": this_machine().to_json(),
            }
        )
    )


if __name__ == "__main__":
    main()
