"""Draws, judges and reports a suite of any size with instant parts, and tells how much memory each step held.

    python tests/endurance/long_run.py FOLDER PAIRS

Prints one JSON object: seconds of each step, and its resident memory in MiB at each twentieth of the way. It is a
program of its own, so that nothing else of a test's process counts.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from paircomp.cli.reporting import write_reports
from paircomp.evaluation import EvaluatedRun
from paircomp.pipeline import generate_images, judge_images
from paircomp.pipeline.progress import Silent, StepCount
from paircomp.run_store import Run, Selection
from paircomp.types import Generated, GenerationRequest, Judgement, JudgeRequest, PromptPair, Suite, suite_digest

IDENTITY: dict[str, Any] = {
    "model": "flat", "adapter": "flat", "checkpoint": None, "revision": None, "recipe": {}, "dtype": None,
    "run_seed": 0,
}  # fmt: skip
MARKS = 20


class Flat:
    """Draws a flat colour from the seed, and judges by the mean colour."""

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Generated]:
        for request in requests:
            seed = request.seed
            yield Generated(request.key, Image.new("RGB", (8, 8), (seed % 256, seed // 256 % 256, seed // 65536 % 256)))

    def judge(self, requests: Sequence[JudgeRequest]) -> Iterator[Judgement]:
        for request in requests:
            red, _, blue = request.images[0].getpixel((0, 0))  # type: ignore[misc]
            for question in request.questions:
                score = (red if "red" in question.prompt else blue) / 255
                yield Judgement(request.key, question.judged_prompt, score=score)

    def close(self) -> None: ...


class Watch(Silent):
    """Notes the resident memory at each twentieth of a step."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def advance(self, count: StepCount) -> None:
        if count.new * MARKS // count.total > len(self.seen):
            self.seen.append(resident())


def resident() -> float:
    """Resident memory of this process in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def suite_of(pairs: int) -> Suite:
    made = [PromptPair(n, str(n), ("color", "text")[n % 2], (f"red {n}", f"blue {n}")) for n in range(pairs)]
    return Suite("long", made, suite_digest(made), samples=2)


def main(folder: Path, pairs: int) -> dict[str, Any]:
    suite = suite_of(pairs)
    run = Run.create(folder, suite=suite, identity=IDENTITY)
    drawing, judging = Watch(), Watch()
    drawn = generate_images(run, suite, Flat, Selection(), who="flat", progress=drawing)
    judged = judge_images(run, suite, Flat, Selection(), name="flat", identity={}, cross=False, images=drawn.images,
                          progress=judging)  # fmt: skip
    started = time.monotonic()
    evaluated = EvaluatedRun(run, suite)
    report = evaluated.report("flat")
    write_reports(evaluated, report, "flat")
    return {
        "images": drawn.new, "judgements": judged.new, "coverage": report["coverage"],
        "generate_seconds": round(drawn.seconds, 1), "judge_seconds": round(judged.seconds, 1),
        "report_seconds": round(time.monotonic() - started, 1),
        "generate_mib": [round(seen, 1) for seen in drawing.seen],
        "judge_mib": [round(seen, 1) for seen in judging.seen],
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))
