"""What evaluations of many models on many GPUs cost, and what breaks first: a simulation, not a measurement.

    python benchmarks/scale.py [--quick] [--json]

Each GPU takes the next share of a model: it loads the generator, draws, loads the judge, judges. Loads go one after the
other through the store of the weights, which all machines share. The rates are written below, each with its origin, and
nothing is drawn at random, so every run prints the same. Only the ranks of a board are timed: processor seconds on the
machine that runs this. ``docs/scale.md`` reads the table.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import time
from typing import Any, NamedTuple

import numpy as np

from paircomp.runtime.machine import package_versions, this_machine
from paircomp.scoring import ScoreTable
from paircomp_leaderboard.ranking import rank

IMAGES_OF_A_PAIR = 4
SUITES = {"550 pairs": (1, 550), "10,000 pairs": (1, 10_000), "1,000 models x 550": (1_000, 550)}
GPUS = (1, 8, 64, 1_024)


class Rates(NamedTuple):
    """What the simulation is told; origins in ``docs/scale.md``.

    Attributes:
        draw: GPU seconds an image.
        judge: GPU seconds an image, both questions.
        png: bytes of an image.
        generator: bytes of its weights.
        judge_weights: bytes.
        link: bytes a second that one machine can load.
        store: bytes a second that the store of the weights gives to all machines together.
        start: seconds from the weights' arrival to the first image or score.
        gpu_hour: dollars.
    """

    draw: float
    judge: float
    png: int
    generator: float = 15e9
    judge_weights: float = 51e9
    link: float = 2e9
    store: float = 20e9
    start: float = 20.0
    gpu_hour: float = 3.0


def janus_draw_seconds(share: float = 0.5, rows: int = 112) -> float:
    """Seconds an image of a Janus-Pro-7B in bfloat16: what each token must read, at a share of an H100's 3.35 TB/s."""
    weights = 2 * (30 * (4 * 4096**2 + 3 * 4096 * 11008) + 4096 * (4096 + 16384))
    live_slots = 30 + 576 / 2
    cached = rows * live_slots * 2 * 2 * 30 * 4096
    return 576 * (weights + cached) / 3.35e12 / share / (rows / 2)


#: InternVL2.5-26B: 27.7 and 226 TFLOP for an image and two questions, at 400 TFLOP/s.
KINDS = {
    "autoregressive, 384 px": Rates(janus_draw_seconds(), 27.7 / 400, 300_000),
    "diffusion, 1024 px": Rates(5.0, 226 / 400, 1_600_000, generator=24e9),
}


class Outcome(NamedTuple):
    """One evaluation of everything.

    Attributes:
        seconds: until the last score.
        worked: GPU seconds of drawing and judging.
        loading: GPU seconds from asking for weights until they work.
        drawing_at_once: the most GPUs that draw at the same time.
        judging_at_once: likewise.
    """

    seconds: float
    worked: float
    loading: float
    drawing_at_once: int
    judging_at_once: int


class Cluster:
    """GPUs with one store of weights.

    Args:
        gpus: how many.
        rates: theirs.
    """

    def __init__(self, gpus: int, rates: Rates) -> None:
        self.gpus = gpus
        self.rates = rates
        self._store_free = 0.0
        self._loading = 0.0
        self._spans: dict[str, list[tuple[float, float]]] = {"draw": [], "judge": []}

    def evaluate(self, models: int, pairs: int) -> Outcome:
        """Do all shares; a GPU that is free takes the next."""
        shares = list(self._shares(models, pairs * IMAGES_OF_A_PAIR))
        waiting = iter(shares)
        events = [(0.0, gpu, "draw", images) for gpu, images in enumerate(itertools.islice(waiting, self.gpus))]
        while events:
            now, gpu, step, images = heapq.heappop(events)
            end = self._step(now, step, images)
            if step == "draw":
                heapq.heappush(events, (end, gpu, "judge", images))
            elif (more := next(waiting, None)) is not None:
                heapq.heappush(events, (end, gpu, "draw", more))
        spans = [*self._spans["draw"], *self._spans["judge"]]
        return Outcome(max(end for _, end in spans), sum(end - start for start, end in spans), self._loading,
                       most_at_once(self._spans["draw"]), most_at_once(self._spans["judge"]))  # fmt: skip

    def _shares(self, models: int, images: int) -> list[int]:
        parts = max(1, min(self.gpus // models, images))
        return [len(range(part, images, parts)) for _ in range(models) for part in range(parts)]

    def _step(self, now: float, step: str, images: int) -> float:
        rates = self.rates
        size, each = (rates.generator, rates.draw) if step == "draw" else (rates.judge_weights, rates.judge)
        self._store_free = max(now, self._store_free) + size / rates.store
        start = max(self._store_free, now + size / rates.link) + rates.start
        self._loading += start - now
        end = start + images * each
        self._spans[step].append((start, end))
        return end


def most_at_once(spans: list[tuple[float, float]]) -> int:
    """The most spans that overlap; one that ends as another begins does not."""
    changes = sorted([(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans])
    return max(itertools.accumulate(change for _, change in changes))


def simulate(kind: str, work: str, gpus: int) -> dict[str, Any]:
    """One row of the table."""
    rates, (models, pairs) = KINDS[kind], SUITES[work]
    found = Cluster(gpus, rates).evaluate(models, pairs)
    images = models * pairs * IMAGES_OF_A_PAIR
    used = min(gpus, images) * found.seconds  # GPUs are paid until the last one has ended
    writes, answers = found.drawing_at_once / rates.draw, found.judging_at_once / rates.judge
    return {
        "kind": kind, "work": work, "gpus": gpus, "images": images,
        "hours": found.seconds / 3600, "gpu_hours": used / 3600, "dollars": used / 3600 * rates.gpu_hour,
        "working_share": found.worked / used, "loading_share": found.loading / used,
        "images_per_second_at_most": writes, "judged_per_second_at_most": answers,
        "gigabytes": images * rates.png / 1e9,
    }  # fmt: skip


def rank_seconds(rows: int, pairs: int = 550) -> float:
    """Processor seconds that the ranks of a board of so many rows take here."""
    names = tuple(f"subtask{number % 6}" for number in range(pairs))
    tables = {}
    for row in range(rows):
        scores = np.random.default_rng(row).uniform(0, 1, (pairs, 2, 2, 2))
        tables[str(row)] = ScoreTable(np.arange(pairs), names, scores)
    started = time.process_time()
    rank(tables)
    return time.process_time() - started


def print_table(rows: list[dict[str, Any]]) -> None:
    titles = (
        "model",
        "work",
        "GPUs",
        "hours",
        "GPU hours",
        "dollars",
        "working",
        "loading",
        "drawn/s",
        "judged/s",
        "GB",
    )
    print(f"| {' | '.join(titles)} |\n{'|---' * len(titles)}|")
    for row in rows:
        figures = (f"{row['hours']:,.2f}", f"{row['gpu_hours']:,.1f}", f"{row['dollars']:,.0f}",
                   f"{row['working_share']:.0%}", f"{row['loading_share']:.0%}",
                   f"{row['images_per_second_at_most']:,.1f}", f"{row['judged_per_second_at_most']:,.1f}",
                   f"{row['gigabytes']:,.1f}")  # fmt: skip
        print(f"| {row['kind']} | {row['work']} | {row['gpus']:,} | {' | '.join(figures)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="ranks of small boards only; the simulation is the same")
    parser.add_argument("--json", action="store_true", help="print only the JSON object")
    chosen = parser.parse_args()
    rows = [simulate(*each) for each in itertools.product(KINDS, SUITES, GPUS)]
    ranks = {count: rank_seconds(count) for count in ((5, 10) if chosen.quick else (10, 20))}
    if not chosen.json:
        print_table(rows)
        for count, seconds in ranks.items():
            print(f"ranks of {count} rows: {seconds:.2f} s")
    print(json.dumps({"benchmark": "scale", "rates": {kind: rates._asdict() for kind, rates in KINDS.items()},
                      "rows": rows, "rank_seconds": ranks, "versions": package_versions(),
                      "machine": this_machine().to_json()}))  # fmt: skip


if __name__ == "__main__":
    main()
