"""The contract suite finds each way in which a generator, a judge or a factory can break its contract.

Sound parts pass every check; each class below is sound but for one defect, and exactly the check of that defect fails.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from paircomp.errors import UnavailableError
from paircomp.plugins import Registry
from paircomp.testing import PROMPTS, Check, check_factory, check_generator, check_judge
from paircomp.types import Generated, GenerationRequest, ImageKey, Judgement, JudgeRequest


class Sound:
    """A colour from the prompt and the seed."""

    def __init__(self) -> None:
        self.drawn = 0

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Generated]:
        for request in requests:
            self.drawn += 1
            yield self.answer(request)

    def answer(self, request: GenerationRequest) -> Generated:
        return Generated(request.key, self.picture(request))

    def picture(self, request: GenerationRequest) -> Image.Image:
        level = (request.seed + sum(request.prompt.encode())) % 251
        return Image.new("RGB", (4, 4), (level, 100, 100))

    def close(self) -> None: ...


def failures(checks: Iterator[Check]) -> dict[str, str]:
    return {check.name: check.detail for check in checks if check.failed}


def test_a_sound_generator_passes_every_check() -> None:
    checks = list(check_generator(Sound, exact=True))

    assert {check.passed for check in checks} == {True, None}
    assert [check.name for check in checks if check.passed is None] == [
        "its identity can be stored and is the same each time"  # it has none
    ]
    assert str(checks[1]) == "     ok  each request is answered exactly once: 3 answers"


class TooFew(Sound):
    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Generated]:
        yield from super().generate(requests[: 2 if len(requests) == 3 else 9])


class Twice(Sound):
    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Generated]:
        yield from super().generate(requests)
        if len(requests) == 3:
            yield from super().generate(requests[:1])


class WrongType(Sound):
    def answer(self, request: GenerationRequest) -> Generated:
        return self.picture(request)  # type: ignore[return-value]


class Neither(Sound):
    def answer(self, request: GenerationRequest) -> Generated:
        return Generated(request.key)


class Both(Sound):
    def answer(self, request: GenerationRequest) -> Generated:
        return replace(super().answer(request), unscored="refused")


class ManyLines(Sound):
    def answer(self, request: GenerationRequest) -> Generated:
        return Generated(request.key, unscored="refused:\nbecause")


class NoPicture(Sound):
    def answer(self, request: GenerationRequest) -> Generated:
        return Generated(request.key, "picture.png")  # type: ignore[arg-type]


class Pixels(Sound):
    def answer(self, request: GenerationRequest) -> Generated:
        return Generated(request.key, np.zeros((4, 4, 3), np.uint8))  # type: ignore[arg-type]


class NotStorable(Sound):
    def answer(self, request: GenerationRequest) -> Generated:
        return replace(super().answer(request), metadata={"loss": float("nan")})


class NoTime(Sound):
    def answer(self, request: GenerationRequest) -> Generated:
        return replace(super().answer(request), seconds=-1.0)


class BatchDependent(Sound):
    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Generated]:
        for request in requests:
            yield Generated(request.key, self.picture(request).point(lambda level: level + 3 * len(requests)))


class OrderDependent(Sound):
    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Generated]:
        first = requests[0].key.pair if len(requests) == 3 else 0
        for request in requests:
            yield Generated(request.key, self.picture(request).point(lambda level: level + 3 * first))


class Seedless(Sound):
    def picture(self, request: GenerationRequest) -> Image.Image:
        return Image.new("RGB", (4, 4), (sum(request.prompt.encode()) % 251, 0, 0))


class Stateful(Sound):
    instances = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).instances += 1
        self.shift = 5 * type(self).instances

    def picture(self, request: GenerationRequest) -> Image.Image:
        return super().picture(request).point(lambda level: level + self.shift)


class EmptyBatchFails(Sound):
    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Generated]:
        yield self.answer(requests[0])
        yield from super().generate(requests[1:])


class Abandoned(Sound):
    broken = False

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Generated]:
        if self.broken:
            raise RuntimeError("the last batch is still open")
        self.broken = True
        yield from super().generate(requests)
        self.broken = False


class DiesOnAwkward(Sound):
    dead = False

    def answer(self, request: GenerationRequest) -> Generated:
        self.dead = self.dead or len(request.prompt) > 500
        if self.dead:
            raise RuntimeError("index out of range")
        return super().answer(request)


class SkipsAwkward(Sound):
    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Generated]:
        yield from super().generate([request for request in requests if len(request.prompt) < 500])


class RandomIdentity(Sound):
    def __init__(self) -> None:
        super().__init__()
        self.identity = {"built": id(self)}


class OddIdentity(Sound):
    identity = {"device": object()}


class CannotClose(Sound):
    def close(self) -> None:
        raise RuntimeError("already closed")


IDENTITY = "its identity can be stored and is the same each time"


@pytest.mark.parametrize(
    ("defective", "check", "detail"),
    [
        (TooFew, "each request is answered exactly once", "missing [(2, 0, 0)]"),
        (Twice, "each request is answered exactly once", "more than once [(0, 0, 0)]"),
        (WrongType, "answers are of the agreed type", "expected paircomp.types.Generated, got Image"),
        (Neither, "each answer holds an image or a reason", "(0, 0, 0) holds neither"),
        (Both, "each answer holds an image or a reason", "holds both"),
        (ManyLines, "each answer holds an image or a reason", "no or several lines: 'refused:\\nbecause'"),
        (NoPicture, "each answer holds an image or a reason", "something that is not an image"),
        (Pixels, "each answer holds an image or a reason", "got numpy.ndarray; next: PIL.Image.fromarray"),
        (NotStorable, "what it says beside the image can be stored", "without NaN"),
        (NoTime, "what it says beside the image can be stored", "seconds -1.0"),
        (BatchDependent, "a batch equals its images drawn one by one", "largest difference 6/255"),
        (OrderDependent, "the order of requests changes no image", "largest difference 6/255"),
        (Seedless, "another seed draws another image", "1 different images of 8 seeds"),
        (Stateful, "a fresh generator draws the same", "largest difference 5/255"),
        (EmptyBatchFails, "an empty batch is answered with nothing", "raised IndexError"),
        (Abandoned, "a batch that is abandoned leaves it usable", "the last batch is still open"),
        (DiesOnAwkward, "an awkward prompt costs no other image", "raised RuntimeError: index out of range"),
        (SkipsAwkward, "an awkward prompt costs no other image", "it was not answered"),
        (RandomIdentity, IDENTITY, "built"),
        (OddIdentity, IDENTITY, "expected a mapping of JSON values"),
        (CannotClose, "close can be called", "already closed"),
    ],
)
def test_a_defect_of_a_generator_is_found(defective: type[Sound], check: str, detail: str) -> None:
    Stateful.instances = 0
    found = failures(check_generator(defective))

    assert check in found
    assert detail in found[check]


def test_a_generator_that_always_fails_is_told_so_without_a_traceback() -> None:
    class Broken(Sound):
        def answer(self, request: GenerationRequest) -> Generated:
            raise ValueError("no\nweights")

    found = failures(check_generator(Broken))

    assert found["a batch is answered"] == "raised ValueError: no weights"


def test_what_stands_in_the_way_of_building_is_the_callers_to_hear() -> None:
    def build() -> Sound:
        raise UnavailableError("it", package="weights", remedy="fetch them")

    with pytest.raises(UnavailableError, match="fetch them"):
        list(check_generator(build))


def test_refusing_and_raising_on_an_awkward_prompt_are_both_allowed() -> None:
    class Refuses(Sound):
        def answer(self, request: GenerationRequest) -> Generated:
            if len(request.prompt) > 500:
                return Generated(request.key, unscored="refused: too long")
            return super().answer(request)

    class Raises(Sound):
        def answer(self, request: GenerationRequest) -> Generated:
            if len(request.prompt) > 500:
                raise ValueError("too long")
            return super().answer(request)

    for generator, detail in ((Refuses, "it was answered: refused"), (Raises, "raised ValueError: too long")):
        checks = {check.name: check for check in check_generator(generator)}
        assert not any(check.failed for check in checks.values())
        assert detail in checks["an awkward prompt costs no other image"].detail


def test_without_seeds_nothing_is_compared_and_little_is_drawn() -> None:
    drawn: list[ImageKey] = []

    class Service(Sound):
        supports_seeds = False

        def answer(self, request: GenerationRequest) -> Generated:
            drawn.append(request.key)
            return Generated(request.key, Image.new("RGB", (4, 4), (len(drawn), 0, 0)))

    checks = list(check_generator(Service))

    assert failures(iter(checks)) == {}
    assert sum("takes no seeds" in check.detail for check in checks) == 4
    assert len(drawn) <= 10


def test_a_generator_that_refuses_everything_is_not_praised() -> None:
    class Shy(Sound):
        def answer(self, request: GenerationRequest) -> Generated:
            return Generated(request.key, unscored="refused: no")

    (said,) = [check for check in check_generator(Shy) if check.name == "each answer holds an image or a reason"]

    assert "no image could be compared; give prompts it draws" in said.detail


# Judges


class SoundJudge:
    def judge(self, requests: Sequence[JudgeRequest]) -> Iterator[Judgement]:
        for request in requests:
            for question in request.questions:
                yield self.answer(request, question.judged_prompt, asked=len(request.questions), batch=len(requests))

    def answer(self, request: JudgeRequest, judged_prompt: int, *, asked: int, batch: int) -> Judgement:
        return Judgement(request.key, judged_prompt, score=0.25 + 0.1 * judged_prompt)

    def close(self) -> None: ...


def test_a_sound_judge_passes_every_check() -> None:
    assert failures(check_judge(SoundJudge)) == {}


@pytest.mark.parametrize(
    ("answer", "check", "detail"),
    [
        ({"score": 1.5}, "each answer holds a score in [0, 1] or a reason", "score 1.5"),
        ({"score": float("nan")}, "each answer holds a score in [0, 1] or a reason", "score nan"),
        ({}, "each answer holds a score in [0, 1] or a reason", "score None, unscored None"),
        ({"score": 0.5, "unscored": "x"}, "each answer holds a score in [0, 1] or a reason", "unscored 'x'"),
        ({"score": 0.5, "log_yes": float("-inf")}, "what it says beside the score can be stored", "finite logs"),
        ({"score": 0.5, "evidence": {"seen": {1, 2}}}, "what it says beside the score can be stored", "JSON values"),
    ],
)
def test_a_defective_judgement_is_found(answer: dict[str, Any], check: str, detail: str) -> None:
    class Defective(SoundJudge):
        def answer(self, request: JudgeRequest, judged_prompt: int, **seen: int) -> Judgement:
            return Judgement(request.key, judged_prompt, **answer)

    found = failures(check_judge(Defective))

    assert detail in found[check]


def test_what_is_no_judgement_is_named() -> None:
    class Numbers(SoundJudge):
        def judge(self, requests: Sequence[JudgeRequest]) -> Iterator[Judgement]:
            yield from (0.5 for _ in requests)  # type: ignore[misc]

    class Silent(SoundJudge):
        def judge(self, requests: Sequence[JudgeRequest]) -> Iterator[Judgement]:
            yield from ()

    said = failures(check_judge(Numbers))
    assert said == {"answers are of the agreed type": "expected paircomp.types.Judgement, got float"}
    assert "missing" in failures(check_judge(Silent))["each request is answered exactly once"]


@pytest.mark.parametrize(
    ("depends_on", "check"),
    [
        ("batch", "a batch equals its images judged one by one"),
        ("asked", "questions asked together equal questions asked alone"),
    ],
)
@pytest.mark.parametrize("unscored", [False, True])
def test_a_judge_that_depends_on_company_is_found(depends_on: str, check: str, *, unscored: bool) -> None:
    """Also where the dependence is between a score of zero and none at all, which are not the same."""

    class Dependent(SoundJudge):
        def answer(self, request: JudgeRequest, judged_prompt: int, **seen: int) -> Judgement:
            if unscored and seen[depends_on] == 1:
                return Judgement(request.key, judged_prompt, unscored="it cannot tell")
            return Judgement(request.key, judged_prompt, score=0.0 if unscored else 0.1 * seen[depends_on])

    assert check in failures(check_judge(Dependent))


# Factories


def test_a_sound_factory_passes_every_check() -> None:
    def sound(*, checkpoint: str | None = None, device: str = "cpu", dtype: str | None = None, steps: int = 4) -> None:
        """Draws."""

    assert [check.passed for check in check_factory(sound)] == [True] * 6


def test_defects_of_a_factory_are_found() -> None:
    def defective(positional, /, checkpoint=None, *, device="cpu", odd: object = object(), bare=3):
        pass

    assert failures(check_factory(defective)) == {
        "the factory takes checkpoint, device and dtype": "missing: dtype",
        "options are given by name": "positional",
        "options have types, by which they are checked": "without: positional, bare",
        "defaults can be stored in a run, as JSON": "odd",
        "its docstring says in one line what it is": "",
    }


def test_an_open_ended_factory_is_told_what_that_means() -> None:
    def open_ended(**options: Any) -> None:
        """Takes anything."""

    checks = {check.name: check for check in check_factory(open_ended)}

    assert checks["a misspelt option is refused"].passed is None
    assert not any(check.failed for check in checks.values())


@pytest.mark.parametrize("kind", ["generator", "judge"])
def test_every_built_in_factory_keeps_its_contract(kind: str) -> None:
    registry = Registry()
    found = {name: failures(check_factory(factory)) for name, factory in registry.load_all(kind)}  # type: ignore[arg-type]

    assert len(found) >= 2
    assert {name: broken for name, broken in found.items() if broken} == {}


def test_no_test_framework_is_needed() -> None:
    program = (
        "import sys; sys.modules['pytest'] = None\n"
        "from paircomp.testing import check_generator\n"
        "from paircomp_adapters.sketch import sketch\n"
        "raise SystemExit(sum(check.failed for check in check_generator(sketch, exact=True)))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_prompts_are_of_the_embedded_world() -> None:
    from paircomp.shapes import parse_prompt

    assert [parse_prompt(prompt) for prompt in PROMPTS]
