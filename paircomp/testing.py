"""The contract that generators and judges keep, as checks anyone can run; no test framework is needed.

>>> from paircomp.testing import check_generator
>>> for check in check_generator(lambda: my_generator(device="cpu")):  # doctest: +SKIP
...     print(check)
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paircomp.protocols import ImageGenerator, Judge
from paircomp.types import Generated, GenerationRequest, ImageKey, Judgement, JudgeRequest, Question, image_seed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["PROMPTS", "Check", "check_generator", "check_judge"]

#: Prompts of the embedded world, which every built-in part understands.
PROMPTS = (
    "two red circles on a light plain background",
    "three red circles on a light plain background",
    "a blue square left of a green circle on a dark plain background",
)
_TOLERANCE = 2  # of 255: kernels may sum in another order for another batch


@dataclass(frozen=True)
class Check:
    """The outcome of one check.

    Attributes:
        name: what must hold.
        passed: ``None`` where it does not apply.
        detail: what was seen.
    """

    name: str
    passed: bool | None
    detail: str = ""

    def __str__(self) -> str:
        mark = {True: "ok", False: "FAILED", None: "skipped"}[self.passed]
        return f"{mark:>7}  {self.name}" + (f": {self.detail}" if self.detail else "")


def check_generator(
    open_generator: Callable[[], ImageGenerator], *, prompts: Sequence[str] = PROMPTS, exact: bool = False
) -> Iterator[Check]:
    """Hold a generator against the contract of `paircomp.protocols.ImageGenerator`.

    Args:
        open_generator: builds it; called twice, to see that a fresh one draws the same.
        prompts: what to draw, at least two.
        exact: demand identical pixels where a tolerance of 2/255 would do (deterministic devices).
    """
    requests = [_request(pair, prompt) for pair, prompt in enumerate(prompts)]
    tolerance = 0 if exact else _TOLERANCE
    with contextlib.closing(open_generator()) as generator:
        batch = list(generator.generate(requests))
        yield _each_once([answer.key for answer in batch], [request.key for request in requests])
        yield _image_or_reason(batch)
        drawn = _pixels(batch)
        yield _same("a batch equals its images drawn one by one", drawn, _one_by_one(generator, requests), tolerance)
        backwards = _pixels(list(generator.generate(requests[::-1])))
        yield _same("the order of requests changes no image", drawn, backwards, tolerance)
        yield _seeds(generator, requests[0], drawn)
    with contextlib.closing(open_generator()) as fresh:
        yield _same("a fresh generator draws the same", drawn, _pixels(list(fresh.generate(requests))), tolerance)
    yield Check("close can be called", passed=True)


def check_judge(open_judge: Callable[[], Judge], *, prompts: Sequence[str] = PROMPTS) -> Iterator[Check]:
    """Hold a judge against the contract of `paircomp.protocols.Judge`.

    Args:
        open_judge: builds it.
        prompts: what to ask about plain grey and striped pictures.
    """
    requests = [_judge_request(pair, prompts) for pair in range(len(prompts))]
    with contextlib.closing(open_judge()) as judge:
        batch = list(judge.judge(requests))
        expected = [(*request.key, question.judged_prompt) for request in requests for question in request.questions]
        yield _each_once([(*answer.key, answer.judged_prompt) for answer in batch], expected)
        yield _score_or_reason(batch)
        single = [answer for request in requests for answer in judge.judge([request])]
        yield _same_scores("a batch equals its images judged one by one", batch, single)
        alone = [
            answer for request in requests for question in request.questions
            for answer in judge.judge([JudgeRequest(request.key, request.images, (question,))])
        ]  # fmt: skip
        yield _same_scores("questions asked together equal questions asked alone", batch, alone)
    yield Check("close can be called", passed=True)


def _request(pair: int, prompt: str, *, sample: int = 0) -> GenerationRequest:
    key = ImageKey(pair, 0, sample)
    return GenerationRequest(key, prompt, image_seed(0, "adapter-check", key))


def _judge_request(pair: int, prompts: Sequence[str]) -> JudgeRequest:
    from PIL import Image

    image = Image.new("RGB", (32, 32), (40 * pair % 256, 128, 200 - 40 * pair % 200))
    questions = tuple(Question(number, prompt, "color") for number, prompt in enumerate(prompts[:2]))
    return JudgeRequest(ImageKey(pair, 0, 0), (image,), questions)


def _each_once(got: Sequence[tuple[int, ...]], expected: Sequence[tuple[int, ...]]) -> Check:
    name = "each request is answered exactly once"
    if sorted(got) == sorted(expected):
        return Check(name, passed=True, detail=f"{len(got)} answers")
    missing = [tuple(key) for key in expected if key not in got]
    unknown = [tuple(key) for key in got if key not in expected]
    twice = sorted({tuple(key) for key in got if got.count(key) > 1})
    return Check(name, passed=False, detail=f"missing {missing}, unknown {unknown}, more than once {twice}")


def _image_or_reason(answers: Sequence[Generated]) -> Check:
    name = "each answer holds an image or a reason"
    for answer in answers:
        if (answer.image is None) == (answer.unscored is None):
            said = "both" if answer.image is not None else "neither"
            return Check(name, passed=False, detail=f"{tuple(answer.key)} holds {said}")
    return Check(name, passed=True)


def _score_or_reason(answers: Sequence[Judgement]) -> Check:
    name = "each answer holds a score in [0, 1] or a reason"
    for answer in answers:
        sound = answer.unscored if answer.score is None else 0 <= answer.score <= 1 and answer.unscored is None
        if not sound:
            return Check(name, passed=False, detail=f"{answer}")
    return Check(name, passed=True)


def _pixels(answers: Sequence[Generated]) -> dict[ImageKey, NDArray[np.uint8]]:
    import numpy as np

    from paircomp.runtime.images import to_rgb

    return {answer.key: np.asarray(to_rgb(answer.image)) for answer in answers if answer.image is not None}


def _one_by_one(generator: ImageGenerator, requests: Sequence[GenerationRequest]) -> dict[ImageKey, NDArray[np.uint8]]:
    return _pixels([answer for request in requests for answer in generator.generate([request])])


def _same(
    name: str, one: dict[ImageKey, NDArray[np.uint8]], other: dict[ImageKey, NDArray[np.uint8]], tolerance: int
) -> Check:
    import numpy as np

    if not one:
        return Check(name, passed=None, detail="every prompt was refused")
    if one.keys() != other.keys():
        return Check(name, passed=False, detail="other images were refused")
    worst = max(
        255 if picture.shape != other[key].shape else int(np.abs(picture.astype(int) - other[key].astype(int)).max())
        for key, picture in one.items()
    )
    return Check(name, passed=worst <= tolerance, detail=f"largest difference {worst}/255")


def _seeds(generator: ImageGenerator, request: GenerationRequest, drawn: dict[ImageKey, Any]) -> Check:
    name = "another seed draws another image"
    if not getattr(generator, "supports_seeds", True):
        return Check(name, passed=None, detail="the generator declares that it takes no seeds")
    if request.key not in drawn:
        return Check(name, passed=None, detail="the prompt was refused")
    others = [GenerationRequest(request.key, request.prompt, seed) for seed in range(1, 9)]
    pictures = {picture.tobytes() for other in others for picture in _one_by_one(generator, [other]).values()}
    return Check(name, passed=len(pictures) > 1, detail=f"{len(pictures)} different images of {len(others)} seeds")


def _same_scores(name: str, one: Sequence[Judgement], other: Sequence[Judgement]) -> Check:
    first = {(*answer.key, answer.judged_prompt): answer.score for answer in one}
    second = {(*answer.key, answer.judged_prompt): answer.score for answer in other}
    if first.keys() != second.keys():
        return Check(name, passed=False, detail="other questions were answered")
    worst = max((abs((first[key] or 0) - (second[key] or 0)) for key in first), default=0.0)
    return Check(name, passed=worst <= 2e-3, detail=f"largest difference {worst:.2g}")
