"""The contract of image generators."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from paircomp.protocols import ImageGenerator
from paircomp.runtime.images import UnreadableImageError, to_rgb
from paircomp.testing.checks import (
    PROMPTS,
    Check,
    attempt,
    check_answers,
    check_batch_size,
    check_empty_batch,
    check_identity,
    check_type,
    is_plain_json,
    raised,
)
from paircomp.types import Generated, GenerationRequest, ImageKey, image_seed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["check_generator"]

Pictures = Mapping[ImageKey, "NDArray[np.uint8]"]

_TOLERANCE = 2  # of 255: kernels may sum in another order for another batch
_OTHER_SEEDS = 8
#: Longer than any text encoder reads, with signs that tokenizers and file names trip over.
_AWKWARD = 'a "sign"\n\t\\ / 🦊 漢字 {key} ' + "and another red circle " * 400


def check_generator(
    open_generator: Callable[[], ImageGenerator], *, prompts: Sequence[str] = PROMPTS, exact: bool = False
) -> Iterator[Check]:
    """Hold a generator against the contract of `paircomp.protocols.ImageGenerator`.

    Draws about 25 images; about ten where the generator declares that it takes no seeds, because nothing can then be
    compared.

    Args:
        open_generator: builds it; called twice, to see that a fresh one draws the same. What it raises is raised here.
        prompts: what to draw, at least two.
        exact: demand identical pixels where a tolerance of 2/255 would do (deterministic devices).
    """
    trial = _Trial(prompts, tolerance=0 if exact else _TOLERANCE)
    first = open_generator()
    yield check_batch_size(first)
    yield from trial.first_batch(first)
    if trial.strange:  # nothing more can be said of answers that are none
        yield _closed(first)
        return
    for name, check in trial.further_checks(first):
        yield attempt(name, check)
    yield _closed(first)
    fresh = open_generator()
    yield attempt("its identity is the same each time", lambda: check_identity(first, fresh))
    yield attempt(trial.FRESH, lambda: trial.drawn_afresh(fresh))
    yield _closed(fresh)


class _Trial:
    """One generator's requests and what came of the first batch."""

    FRESH = "a fresh generator draws the same"

    def __init__(self, prompts: Sequence[str], *, tolerance: int) -> None:
        self._requests = [_request(pair, prompt) for pair, prompt in enumerate(prompts)]
        self._tolerance = tolerance
        self._drawn: Pictures = {}
        self.strange = False

    def first_batch(self, generator: ImageGenerator) -> Iterator[Check]:
        """Draw all prompts at once and look at the answers."""
        try:
            answers = list(generator.generate(self._requests))
        except (Exception, SystemExit) as error:
            yield Check("a batch is answered", passed=False, detail=raised(error))
            return
        agreed = check_type(answers, Generated)
        if agreed.failed:
            self.strange = True
            yield agreed
            return
        yield check_answers([answer.key for answer in answers], [request.key for request in self._requests])
        yield attempt("each answer holds an image or a reason", lambda: _image_or_reason(answers))
        yield attempt("what it says beside the image can be stored", lambda: _storable(answers))
        self._drawn = _readable(answers)

    def further_checks(self, generator: ImageGenerator) -> Iterator[tuple[str, Callable[[], Check]]]:
        """Names and checks on a generator that has drawn the first batch."""
        yield "a batch equals its images drawn one by one", lambda: self._one_by_one(generator)
        yield "the order of requests changes no image", lambda: self._backwards(generator)
        yield "another seed draws another image", lambda: self._other_seeds(generator)
        yield "an empty batch is answered with nothing", lambda: check_empty_batch(generator.generate)
        yield "a batch that is abandoned leaves it usable", lambda: self._abandoned(generator)
        yield "an awkward prompt costs no other image", lambda: self._awkward(generator)

    def drawn_afresh(self, generator: ImageGenerator) -> Check:
        """Whether another instance draws the same."""
        return self._same(self.FRESH, generator, lambda: _pictures(generator, self._requests))

    def _one_by_one(self, generator: ImageGenerator) -> Check:
        def single() -> Pictures:
            return {key: image for request in self._requests for key, image in _pictures(generator, [request]).items()}

        return self._same("a batch equals its images drawn one by one", generator, single)

    def _backwards(self, generator: ImageGenerator) -> Check:
        name = "the order of requests changes no image"
        return self._same(name, generator, lambda: _pictures(generator, self._requests[::-1]))

    def _same(self, name: str, generator: ImageGenerator, again: Callable[[], Pictures]) -> Check:
        if not getattr(generator, "supports_seeds", True):
            return Check(name, passed=None, detail="the generator declares that it takes no seeds")
        return _compare(name, self._drawn, again(), self._tolerance)

    def _other_seeds(self, generator: ImageGenerator) -> Check:
        name, request = "another seed draws another image", self._requests[0]
        if not getattr(generator, "supports_seeds", True):
            return Check(name, passed=None, detail="the generator declares that it takes no seeds")
        if request.key not in self._drawn:
            return Check(name, passed=None, detail="the prompt was refused")
        others = [GenerationRequest(request.key, request.prompt, seed) for seed in range(1, 1 + _OTHER_SEEDS)]
        found = {image.tobytes() for other in others for image in _pictures(generator, [other]).values()}
        return Check(name, passed=len(found) > 1, detail=f"{len(found)} different images of {len(others)} seeds")

    def _abandoned(self, generator: ImageGenerator) -> Check:
        name = "a batch that is abandoned leaves it usable"
        answers = iter(generator.generate(self._requests))
        next(answers, None)
        close = getattr(answers, "close", None)
        if close is not None:
            close()
        again = list(generator.generate(self._requests[:1]))
        return Check(name, passed=[answer.key for answer in again] == [self._requests[0].key],
                     detail="" if again else "the next batch got no answer")  # fmt: skip

    def _awkward(self, generator: ImageGenerator) -> Check:
        name = "an awkward prompt costs no other image"
        good = [request for request in self._requests[:2] if request.key in self._drawn]
        if not good:
            return Check(name, passed=None, detail="no other image was drawn")
        batch = [*good[:1], _request(len(self._requests), _AWKWARD), *good[1:]]
        try:
            answers = {answer.key: answer for answer in generator.generate(batch)}
        except (Exception, SystemExit) as error:  # allowed: the pipeline then asks one by one
            detail = f"{raised(error)}; the others are asked for again"
            answers = {answer.key: answer for request in good for answer in generator.generate([request])}
        else:
            answer = answers.get(batch[len(good[:1])].key)
            if answer is None:
                return Check(name, passed=False, detail="it was not answered")
            detail = "it was drawn" if answer.image is not None else f"it was answered: {answer.unscored}"[:120]
        lost = [tuple(request.key) for request in good
                if request.key not in answers or answers[request.key].image is None]  # fmt: skip
        return Check(name, passed=not lost, detail=f"lost {lost}; {detail}" if lost else detail)


def _request(pair: int, prompt: str) -> GenerationRequest:
    key = ImageKey(pair, 0, 0)
    return GenerationRequest(key, prompt, image_seed(0, "adapter-check", key))


def _closed(generator: ImageGenerator) -> Check:
    def close() -> Check:
        generator.close()
        return Check("close can be called", passed=True)

    return attempt("close can be called", close)


def _image_or_reason(answers: Sequence[Generated]) -> Check:
    name = "each answer holds an image or a reason"
    for answer in answers:
        if (fault := _fault(answer)) is not None:
            return Check(name, passed=False, detail=f"{tuple(answer.key)} {fault}")
    refused = sum(answer.image is None for answer in answers)
    if answers and refused == len(answers):
        return Check(name, passed=True, detail="all were refused, so no image could be compared; give prompts it draws")
    return Check(name, passed=True, detail=f"{refused} refused" if refused else "")


def _fault(answer: Generated) -> str | None:
    if answer.image is not None and answer.unscored is not None:
        return "holds both"
    if answer.image is None and answer.unscored is None:
        return "holds neither"
    if answer.unscored is not None:
        told = answer.unscored.strip() and "\n" not in answer.unscored
        return None if told else f"has a reason of no or several lines: {answer.unscored!r}"
    try:
        to_rgb(answer.image).load()  # type: ignore[arg-type]
    except (UnreadableImageError, OSError, SyntaxError) as error:
        return f"holds something that is not an image: {error}"
    return None


def _storable(answers: Sequence[Generated]) -> Check:
    name = "what it says beside the image can be stored"
    for answer in answers:
        if not is_plain_json({**dict(answer.metadata), "prompt_sent": answer.prompt_sent}):
            return Check(name, passed=False, detail=f"{tuple(answer.key)}: expected JSON values without NaN, got "
                         f"{dict(answer.metadata)!r}"[:200])  # fmt: skip
        if answer.seconds is not None and not 0 <= answer.seconds < float("inf"):
            return Check(name, passed=False, detail=f"{tuple(answer.key)}: seconds {answer.seconds!r}")
    return Check(name, passed=True)


def _readable(answers: Sequence[Generated]) -> Pictures:
    return _arrays([answer for answer in answers if _fault(answer) is None])


def _pictures(generator: ImageGenerator, requests: Sequence[GenerationRequest]) -> Pictures:
    return _arrays(list(generator.generate(requests)))


def _arrays(answers: Sequence[Generated]) -> dict[ImageKey, Any]:
    import numpy as np

    return {answer.key: np.asarray(to_rgb(answer.image)) for answer in answers if answer.image is not None}


def _compare(name: str, one: Pictures, other: Pictures, tolerance: int) -> Check:
    import numpy as np

    if not one:
        return Check(name, passed=None, detail="every prompt was refused")
    if one.keys() != other.keys():
        return Check(name, passed=False, detail="images of other requests came, or fewer")
    worst = max(
        255 if picture.shape != other[key].shape else int(np.abs(picture.astype(int) - other[key].astype(int)).max())
        for key, picture in one.items()
    )
    return Check(name, passed=worst <= tolerance, detail=f"largest difference {worst}/255")
