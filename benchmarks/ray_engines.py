"""The two ways to draw and judge on Ray: actors of our own (`--engine ray`) and a streaming pipeline of Ray Data.

    python benchmarks/ray_engines.py [--quick] [--json]

Both have two generator actors and two judge actors on a local cluster, with simulated latencies: a generator that
sleeps before each image and a judge that sleeps before each answer. Three cases: all goes well; a generator actor is
killed with SIGKILL in the middle; one request kills every actor that draws it. Each case is a process of its own that
is ended at a limit. The pipeline writes each row down as it comes out, and has small batches so that they come early.

Time runs from the connected cluster on, so it includes the start of the actors, and for actors of our own also the
writing of images, records and locks, which the pipeline does without.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from paircomp.engines.ray_engine import RayResources, draw_and_judge
from paircomp.evaluation import Evaluation
from paircomp.pipeline import StepCount
from paircomp.pipeline.progress import Silent
from paircomp.plugins import Registry
from paircomp.runtime.machine import package_versions, this_machine
from paircomp.types import (
    Generated,
    GenerationRequest,
    Judgement,
    JudgeRequest,
    ModelSpec,
    PromptPair,
    Suite,
    suite_digest,
)

DRAW_SECONDS, JUDGE_SECONDS = 0.05, 0.03
ACTORS = 2
BATCH = 8
ENGINES = ("actors", "ray_data")
CASES = ("steady", "killed", "fatal")
FATAL = "a prompt that kills"


def draw(prompt: str, log: Path) -> None:
    """Sleep as long as drawing takes, and leave word of it; the fatal prompt ends the process."""
    with (log / f"drawn-{os.getpid()}").open("a") as words:
        words.write(f"{prompt}\n")
    if prompt.startswith(FATAL):
        os._exit(1)
    time.sleep(DRAW_SECONDS)


class SleepingGenerator:
    """A fake: sleeps, then gives a colour that hangs on the seed."""

    def __init__(self, log: str) -> None:
        self._log = Path(log)

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Generated]:
        """A picture for each request."""
        for request in requests:
            draw(f"{request.prompt} {request.key.sample}", self._log)
            yield Generated(request.key, Image.new("RGB", (64, 64), (request.seed % 256, 0, 0)))

    def close(self) -> None:
        """Nothing to free."""


class SleepingJudge:
    """A fake: sleeps, then scores by the first pixel."""

    def judge(self, requests: Sequence[JudgeRequest]) -> Iterator[Judgement]:
        """A score for each question."""
        for request in requests:
            for question in request.questions:
                time.sleep(JUDGE_SECONDS)
                yield Judgement(request.key, question.judged_prompt, score=request.images[0].tobytes()[0] / 255)

    def close(self) -> None:
        """Nothing to free."""


def sleeping_generator(
    *, checkpoint: str | None = None, device: str = "cpu", dtype: str | None = None, log: str = "."
) -> SleepingGenerator:
    """The generator by its name; this file is a plugin of itself."""
    return SleepingGenerator(log)


def sleeping_judge(*, checkpoint: str | None = None, device: str = "cpu", dtype: str | None = None) -> SleepingJudge:
    """The judge likewise."""
    return SleepingJudge()


GENERATORS = {"sleeping": sleeping_generator}
JUDGES = {"sleeping": sleeping_judge}


def prompts_of(case: str, pairs: int) -> list[tuple[str, str]]:
    """The prompts of each pair; in the case `fatal` one of them, in the middle, kills."""
    prompts = [(f"prompt {number} one", f"prompt {number} two") for number in range(pairs)]
    if case == "fatal":
        prompts[pairs // 2] = (FATAL, f"prompt {pairs // 2} two")
    return prompts


class Results(Silent):
    """Notes when results come; as a progress it hears of judgements."""

    def __init__(self, folder: Path) -> None:
        self._started = time.perf_counter()
        self._file = folder / "results.jsonl"
        self._judged: StepCount | None = None

    def start(self, count: StepCount, *, what: str) -> None:
        """Know the count of judgements."""
        if what == "judgements":
            self._judged = count

    def advance(self, count: StepCount) -> None:
        """Note a judgement."""
        if count is self._judged:
            self.note()

    def note(self) -> None:
        """Note one result and the time."""
        with self._file.open("a") as results:
            results.write(f"{time.perf_counter() - self._started:.3f}\n")

    def end(self, scored: int) -> None:
        """Note that all is done."""
        self._file.with_name("end.json").write_text(
            json.dumps({"seconds": time.perf_counter() - self._started, "scored": scored})
        )


def with_actors(folder: Path, case: str, pairs: int) -> None:
    """The engine of the command line."""
    made = [PromptPair(n, str(n), "color", prompts) for n, prompts in enumerate(prompts_of(case, pairs))]
    suite = Suite("sleeping", made, suite_digest(made))
    spec = ModelSpec(name="sleeping", adapter="sleeping", recipe={"log": str(folder)})
    evaluation = Evaluation(Registry([Path(__file__)]), suite, "sleeping", spec, cross=False, batch_size=BATCH,
                            device="cpu", out=folder / "run")  # fmt: skip
    run, results = evaluation.open_run(), Results(folder)
    resources = RayResources(generators=ACTORS, judges=ACTORS, generator_gpus=0, judge_gpus=0)
    _, judged = draw_and_judge(evaluation, run, resources, results)
    results.end(judged.new - judged.unscored)


class DrawBatch:
    """The first stage of the pipeline."""

    def __init__(self, log: str) -> None:
        self._log = Path(log)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """A batch with pictures."""
        import numpy as np

        for prompt in batch["prompt"]:
            draw(str(prompt), self._log)
        return {**batch, "image": np.zeros((len(batch["prompt"]), 64, 64, 3), np.uint8)}


class JudgeBatch:
    """The second stage."""

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """A batch with scores in the place of pictures."""
        time.sleep(JUDGE_SECONDS * len(batch["prompt"]))
        return {"prompt": batch["prompt"], "score": batch["image"][:, 0, 0, 0] / 255.0}


def with_ray_data(folder: Path, case: str, pairs: int) -> None:
    """The same work as two stages of Ray Data."""
    import ray.data

    ray.data.DataContext.get_current().enable_progress_bars = False
    items = [{"prompt": f"{prompt} {sample}"} for pair in prompts_of(case, pairs) for prompt in pair
             for sample in range(2)]  # fmt: skip
    results, scored = Results(folder), 0
    rows = ray.data.from_items(items, override_num_blocks=len(items) // BATCH)
    drawn = rows.map_batches(DrawBatch, fn_constructor_args=(str(folder),), batch_size=BATCH, concurrency=ACTORS)
    judged = drawn.map_batches(JudgeBatch, batch_size=BATCH, concurrency=ACTORS)
    for _ in judged.iter_rows():
        results.note()
        scored += 1
    results.end(scored)


def kill_one(folder: Path, enough: int) -> None:
    """Kill an actor that draws, once so many images were begun."""
    while sum(counted(folder).values()) < enough:
        time.sleep(0.01)
    os.kill(min(int(file.name.partition("-")[2]) for file in folder.glob("drawn-*")), signal.SIGKILL)


def counted(folder: Path) -> Counter[str]:
    """How often each image was begun."""
    return Counter(line for file in folder.glob("drawn-*") for line in file.read_text().splitlines())


def child(engine: str, case: str, folder: Path, pairs: int) -> None:
    """One case, in a process of its own."""
    import ray

    ray.init(num_cpus=2 * ACTORS + 2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    if case == "killed":
        threading.Thread(target=kill_one, args=(folder, 2 * pairs), daemon=True).start()
    {"actors": with_actors, "ray_data": with_ray_data}[engine](folder, case, pairs)
    ray.shutdown()


def measure(engine: str, case: str, pairs: int, limit: float) -> dict[str, Any]:
    """Run one case and read what it left."""
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    with tempfile.TemporaryDirectory() as made:
        command = [sys.executable, __file__, "--child", engine, case, made, str(pairs)]
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            try:
                said = process.communicate(timeout=limit)[1]
            except subprocess.TimeoutExpired:
                process.terminate()  # Ray ends its cluster on SIGTERM
                said = process.communicate()[1]
        end, results = Path(made, "end.json"), Path(made, "results.jsonl")
        times = [float(line) for line in results.read_text().split()] if results.is_file() else []
        begun = counted(Path(made))
        found = {"ended": end.is_file(), "first_result_seconds": times[0] if times else None, "results": len(times),
                 "images": 4 * pairs, "drawn_again": sum(begun.values()) - len(begun),
                 "last_result_seconds": times[-1] if times else None}  # fmt: skip
        if end.is_file():
            return {**found, **json.loads(end.read_text())}
        errors = [line for line in said.decode(errors="replace").splitlines() if "Error" in line]
        return {**found, "exit_code": process.returncode, "error": errors[-1:]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer images and a shorter limit")
    parser.add_argument("--json", action="store_true", help="print only the JSON object")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        engine, case, folder, pairs = chosen.child
        child(engine, case, Path(folder), int(pairs))
        return
    pairs, limit = (12, 20.0) if chosen.quick else (96, 90.0)
    found: dict[str, dict[str, Any]] = {}
    for case in CASES:
        for engine in ENGINES:
            found[f"{engine}_{case}"] = measure(engine, case, pairs, limit)
            if not chosen.json:
                print(f"{engine:9} {case:7} {found[f'{engine}_{case}']}", flush=True)
    actors, data = (found[f"{engine}_steady"].get("seconds") for engine in ENGINES)
    print(json.dumps({"benchmark": "ray_engines", "limit_seconds": limit,
                      "actors_over_ray_data": actors / data if actors and data else None, "cases": found,
                      "versions": package_versions(), "machine": this_machine().to_json()}))  # fmt: skip


if __name__ == "__main__":
    main()
