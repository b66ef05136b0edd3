"""What the harness itself costs: start-up, overhead per image, resuming a million records, memory.

    python benchmarks/harness.py [--quick] [--json]

The generator returns one picture at once, so that what is measured is ours: PNG, records, locks, progress. The
reference for the overhead is a bare loop that saves the same pictures as PNG files and keeps no record of them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from paircomp.pipeline import generate_images
from paircomp.pipeline.judge import judge_images
from paircomp.run_store import Run, Selection
from paircomp.runtime.machine import package_versions
from paircomp.types import (
    Generated,
    GenerationRequest,
    ImageKey,
    Judgement,
    JudgeRequest,
    PromptPair,
    Suite,
    suite_digest,
)

PICTURE = Image.effect_noise((32, 32), 60).convert("RGB")
IDENTITY = {"model": "instant", "adapter": "instant", "checkpoint": None, "revision": None, "recipe": {},
            "dtype": None, "run_seed": 0}  # fmt: skip


class Instant:
    """Draws the same picture at once."""

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Generated]:
        """A picture for each request."""
        for request in requests:
            yield Generated(request.key, PICTURE)

    def judge(self, requests: Sequence[JudgeRequest]) -> Iterator[Judgement]:
        """A score for each question."""
        for request in requests:
            for question in request.questions:
                yield Judgement(request.key, question.judged_prompt, score=0.5)

    def close(self) -> None:
        """Nothing to free."""


def suite_of(pairs: int) -> Suite:
    made = [PromptPair(n, str(n), f"subtask{n % 6}", (f"prompt {n} one", f"prompt {n} two")) for n in range(pairs)]
    return Suite("instant", made, suite_digest(made))


def start_up(command: list[str], times: int) -> float:
    """Median seconds of a whole process."""
    spent = []
    for _ in range(times):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "paircomp", *command], check=True, stdout=subprocess.DEVNULL)
        spent.append(time.perf_counter() - started)
    return statistics.median(spent)


def overhead(folder: Path, pairs: int) -> dict[str, float]:
    """Milliseconds per image: our two steps, and a bare loop that saves the same pictures."""
    suite = suite_of(pairs)
    run = Run.create(folder / "run", suite=suite, identity=IDENTITY)
    drawn = generate_images(run, suite, Instant, Selection(), who="instant")
    judged = judge_images(run, suite, Instant, Selection(), name="instant", identity={}, cross=False)
    bare = folder / "bare"
    bare.mkdir()
    started = time.perf_counter()
    for number in range(drawn.new):
        PICTURE.save(bare / f"{number}.png", compress_level=1)
    plain = time.perf_counter() - started
    return {
        "overhead_ms_per_image": 1000 * drawn.seconds / drawn.new,
        "judge_overhead_ms_per_image": 1000 * judged.seconds / judged.new,
        "bare_png_ms_per_image": 1000 * plain / drawn.new,
        "vs_bare_png_loop": drawn.seconds / plain,
    }


def finished_run(folder: Path, records: int) -> None:
    """A run of half as many images as `records`, and as many judgements, written as the steps write them."""
    suite = suite_of(records // 8)
    run = Run.create(folder, suite=suite, identity=IDENTITY)
    images = folder / "images"
    images.mkdir()
    run.judge("instant").settle({})
    with run.image_records.writer() as drawn, run.judge("instant").records.writer() as judged:
        for pair in range(len(suite.pairs)):
            for prompt in range(2):
                for sample in range(2):
                    key = ImageKey(pair, prompt, sample)
                    place = {"pair": pair, "prompt": prompt, "sample": sample}
                    (images / key.filename).write_bytes(b"x")
                    drawn.write({**place, "seed": 1 << 52, "batch": 8, "sha256": f"{pair:064x}", "bytes": 1})
                    judged.write({**place, "judged_prompt": prompt, "image": f"{0:016x}", "score": 0.5,
                                  "log_yes": -0.69, "log_no": -0.69})  # fmt: skip


RESUME = """
import json, resource, sys, time
from pathlib import Path
from paircomp.pipeline import generate_images, judge_images
from paircomp.run_store import Run, Selection
def never(): raise SystemExit("something was left to do")
started = time.perf_counter()
run = Run.open(Path(sys.argv[1]))
suite = run.suite()
drawn = generate_images(run, suite, never, Selection(), who="instant")
judged = judge_images(run, suite, never, Selection(), name="instant", identity={}, cross=False, images=drawn.images)
print(json.dumps({"seconds": time.perf_counter() - started, "cached": drawn.cached + judged.cached,
                  "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""


def resume(folder: Path, records: int) -> dict[str, float]:
    """A fresh process decides that nothing is left to do."""
    finished_run(folder, records)
    said = json.loads(subprocess.check_output([sys.executable, "-c", RESUME, str(folder)], text=True))
    return {"resume_records": said["cached"], "resume_seconds": said["seconds"], "resume_peak_mib": said["peak_mib"]}


def growth(folder: Path, pairs: int) -> dict[str, float]:
    """How much the peak memory of a process grows while it draws and judges `pairs` more pairs."""
    peaks = []
    for number, size in enumerate((pairs // 4, pairs)):
        suite = suite_of(size)
        run = Run.create(folder / str(number), suite=suite, identity=IDENTITY)
        generate_images(run, suite, Instant, Selection(), who="instant")
        judge_images(run, suite, Instant, Selection(), name="instant", identity={}, cross=False)
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return {"memory_growth_bytes_per_image": (peaks[1] - peaks[0]) * 2**20 / (3 * pairs)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, under a minute on two cores")
    parser.add_argument("--json", action="store_true", help="print only the JSON object")
    chosen = parser.parse_args()
    pairs, records = (500, 100_000) if chosen.quick else (5_000, 1_000_000)
    found: dict[str, Any] = {"help_seconds": start_up(["--help"], 5), "models_seconds": start_up(["models"], 5)}
    with tempfile.TemporaryDirectory() as folder:
        found |= overhead(Path(folder), pairs)
        found |= growth(Path(folder) / "growth", pairs)
        found |= resume(Path(folder) / "finished", records)
    found = {name: round(value, 4) for name, value in found.items()}
    if not chosen.json:
        for name, value in found.items():
            print(f"{name:32} {value:>14,.4f}")
    machine = f"{os.cpu_count()} x {platform.machine()}, {platform.system()}"
    print(json.dumps({**found, "versions": package_versions(), "machine": machine}))


if __name__ == "__main__":
    main()
