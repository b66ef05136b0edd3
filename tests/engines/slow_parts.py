"""A generator and a judge that take their time, for tests that kill what runs them. Fakes, named so."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from paircomp.types import Generated, GenerationRequest, ImageKey, Judgement, JudgeRequest
from tests.parts import FlatGenerator, SteadyJudge


class SlowGenerator(FlatGenerator):
    """Sleeps before each picture, and leaves word of the process that it runs in."""

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Generated]:
        leave_word("generator")
        for answer in super().generate(requests):
            time.sleep(0.05)
            yield answer


class LethalGenerator(FlatGenerator):
    """Takes its process with it at the first image of the tenth pair, as a fault of a driver would."""

    def answer(self, request: GenerationRequest) -> Generated:
        if request.key == ImageKey(9, 0, 0):
            os._exit(1)
        return super().answer(request)


class FragileGenerator(FlatGenerator):
    """Fails at every first prompt, as one that finds them too long."""

    def answer(self, request: GenerationRequest) -> Generated:
        if request.key.prompt == 0:
            raise ValueError("token limit exceeded")
        return super().answer(request)


class SlowJudge(SteadyJudge):
    """Sleeps before each answer, and leaves word likewise."""

    def judge(self, requests: Sequence[JudgeRequest]) -> Iterator[Judgement]:
        leave_word("judge")
        for answer in super().judge(requests):
            time.sleep(0.02)
            yield answer


class FragileJudge(SteadyJudge):
    """Fails at every first prompt."""

    def judge(self, requests: Sequence[JudgeRequest]) -> Iterator[Judgement]:
        if any(request.key.prompt == 0 for request in requests):
            raise ValueError("too large")
        yield from super().judge(requests)


def leave_word(kind: str) -> None:
    folder = os.environ.get("PAIRCOMP_TEST_WORKERS")
    if folder:
        (Path(folder) / f"{kind}-{os.getpid()}").touch()


def slow_generator(*, checkpoint: str | None = None, device: str = "cpu", dtype: str | None = None) -> SlowGenerator:
    return SlowGenerator()


def lethal_generator(
    *, checkpoint: str | None = None, device: str = "cpu", dtype: str | None = None
) -> LethalGenerator:
    return LethalGenerator()


def fragile_generator(
    *, checkpoint: str | None = None, device: str = "cpu", dtype: str | None = None
) -> FragileGenerator:
    return FragileGenerator()


def fragile_judge(*, checkpoint: str | None = None, device: str = "cpu", dtype: str | None = None) -> FragileJudge:
    return FragileJudge()


def slow_judge(*, checkpoint: str | None = None, device: str = "cpu", dtype: str | None = None) -> SlowJudge:
    return SlowJudge()


GENERATORS = {"slow": slow_generator, "lethal": lethal_generator, "fragile": fragile_generator}
JUDGES = {"slow": slow_judge, "fragile": fragile_judge}
