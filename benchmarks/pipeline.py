"""What drawing and judging at the same time saves: wall time of the two steps together and one after the other.

    python benchmarks/pipeline.py [--quick] [--json]

The latencies are simulated: a generator that sleeps before each image and a judge that sleeps before each answer, as
parts do that wait for a GPU or a server. The longer step is timed alone in the same run; overlap should take hardly
longer. Both ways must end with the same images and the same scores.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from paircomp.pipeline import StepCount, generate_images, judge_images
from paircomp.pipeline.overlap import draw_while_judging
from paircomp.run_store import Run, Selection
from paircomp.runtime.machine import package_versions, this_machine
from paircomp.types import Generated, GenerationRequest, Judgement, JudgeRequest, PromptPair, Suite, suite_digest

IDENTITY = {"model": "sleeping", "adapter": "sleeping", "checkpoint": None, "revision": None, "recipe": {},
            "dtype": None, "run_seed": 0}  # fmt: skip


class SleepingGenerator:
    """A fake: sleeps, then gives a colour that hangs on the seed."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Generated]:
        """A picture for each request."""
        for request in requests:
            time.sleep(self.seconds)
            colour = (request.seed % 256, request.seed // 256 % 256, request.seed // 65536 % 256)
            yield Generated(request.key, Image.new("RGB", (64, 64), colour))

    def close(self) -> None:
        """Nothing to free."""


class SleepingJudge:
    """A fake: sleeps, then scores the picture by its first pixel."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def judge(self, requests: Sequence[JudgeRequest]) -> Iterator[Judgement]:
        """A score for each question."""
        for request in requests:
            for question in request.questions:
                time.sleep(self.seconds)
                red = request.images[0].tobytes()[0]
                yield Judgement(request.key, question.judged_prompt, score=red / 255)

    def close(self) -> None:
        """Nothing to free."""


def suite_of(pairs: int) -> Suite:
    made = [PromptPair(n, str(n), f"subtask{n % 6}", (f"prompt {n} one", f"prompt {n} two")) for n in range(pairs)]
    return Suite("sleeping", made, suite_digest(made))


class Work:
    """The two steps on a run of its own."""

    def __init__(self, folder: Path, suite: Suite, drawing: float, judging: float) -> None:
        self.run = Run.create(folder, suite=suite, identity=IDENTITY)
        self.suite = suite
        self.generator = SleepingGenerator(drawing)
        self.judge = SleepingJudge(judging)

    def apart(self) -> tuple[StepCount, StepCount]:
        """Draw everything, then judge it."""
        drawn = generate_images(self.run, self.suite, lambda: self.generator, Selection(), who="sleeping")
        judged = judge_images(self.run, self.suite, lambda: self.judge, Selection(), name="sleeping", identity={},
                              cross=False, images=drawn.images)  # fmt: skip
        return drawn, judged

    def together(self) -> float:
        """Seconds of both at the same time."""
        started = time.perf_counter()
        draw_while_judging(
            lambda settled, told: generate_images(self.run, self.suite, lambda: self.generator, Selection(),
                                                  who="sleeping", settled=settled, progress=told),
            lambda arriving, told: judge_images(self.run, self.suite, lambda: self.judge, Selection(), name="sleeping",
                                                identity={}, cross=False, arriving=arriving, progress=told),
        ).result()  # fmt: skip
        return time.perf_counter() - started

    def outcome(self) -> tuple[dict[str, bytes], bytes]:
        """The images and the scores."""
        images = {path.name: path.read_bytes() for path in self.run.images_folder.iterdir()}
        return images, self.run.judge("sleeping").read(self.run.read_images(self.suite)).scores.tobytes()


def measure(folder: Path, pairs: int, drawing: float, judging: float) -> dict[str, float]:
    suite = suite_of(pairs)
    apart, together = (Work(folder / name, suite, drawing, judging) for name in ("apart", "together"))
    drawn, judged = apart.apart()
    seconds = together.together()
    if together.outcome() != apart.outcome():
        raise SystemExit("the two ways end with other images or other scores")
    longer, both = max(drawn.seconds, judged.seconds), drawn.seconds + judged.seconds
    return {"draw_seconds": drawn.seconds, "judge_seconds": judged.seconds, "together_seconds": seconds,
            "over_longer_step": seconds / longer, "over_one_after_the_other": seconds / both}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer images, under a minute")
    parser.add_argument("--json", action="store_true", help="print only the JSON object")
    chosen = parser.parse_args()
    pairs = 30 if chosen.quick else 150
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, drawing, judging in (("generator_longer", 0.05, 0.03), ("judge_longer", 0.03, 0.05),
                                       ("equal", 0.04, 0.04)):  # fmt: skip
            found[name] = measure(Path(folder) / name, pairs, drawing, judging)
            if not chosen.json:
                print(f"{name:18}" + "".join(f" {key} {value:.3f}" for key, value in found[name].items()))
    worst = max(case["over_longer_step"] for case in found.values())
    print(json.dumps({"benchmark": "pipeline", "images": 4 * pairs, "over_longer_step": worst, "cases": found,
                      "versions": package_versions(), "machine": this_machine().to_json()}))  # fmt: skip


if __name__ == "__main__":
    main()
