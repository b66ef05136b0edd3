"""Small generators and judges that break their contract in one way each, and a suite to run them on.

They are fakes, named so: what they imitate is a third party's defect, which no real part of ours has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from paircomp.run_store import Run
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


def small_suite(pairs: int = 4, *, samples: int = 2) -> Suite:
    """Pairs of colours in two subtasks."""
    made = [
        PromptPair(number, f"p{number}", ("color", "text")[number % 2], (f"red {number}", f"blue {number}"))
        for number in range(pairs)
    ]
    return Suite("small", made, suite_digest(made), samples=samples, default_judge="steady")


IDENTITY: dict[str, Any] = {
    "model": "flat", "adapter": "flat", "checkpoint": None, "revision": None, "recipe": {}, "dtype": None,
    "run_seed": 0,
}  # fmt: skip


def new_run(path: Path, suite: Suite) -> Run:
    return Run.create(path, suite=suite, identity=IDENTITY)


class FlatGenerator:
    """Sound: a flat colour from the seed. Counts what it was asked."""

    def __init__(self) -> None:
        self.asked: list[ImageKey] = []
        self.batches: list[int] = []
        self.closed = 0

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Generated]:
        self.batches.append(len(requests))
        for request in requests:
            self.asked.append(request.key)
            yield self.answer(request)

    def answer(self, request: GenerationRequest) -> Generated:
        return Generated(request.key, flat(request.seed))

    def close(self) -> None:
        self.closed += 1


def flat(seed: int) -> Image.Image:
    return Image.new("RGB", (8, 8), (seed % 256, seed // 256 % 256, seed // 65536 % 256))


class SteadyJudge:
    """Sound: a score from the picture's mean colour and the prompt."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, ...]] = []

    def judge(self, requests: Sequence[JudgeRequest]) -> Iterator[Judgement]:
        for request in requests:
            red, _, blue = request.images[0].resize((1, 1)).getpixel((0, 0))
            for question in request.questions:
                self.asked.append((*request.key, question.judged_prompt))
                wanted = red if "red" in question.prompt else blue
                yield self.answer(request, question.judged_prompt, wanted / 255)

    def answer(self, request: JudgeRequest, judged_prompt: int, score: float) -> Judgement:
        return Judgement(request.key, judged_prompt, score=score)

    def close(self) -> None: ...
