"""How much work an evaluation is: counted exactly, and timed on a probe of a few images that leaves nothing behind."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from paircomp.errors import MissingImagesError
from paircomp.evaluation import Evaluation
from paircomp.pipeline.generate import missing_images
from paircomp.run_store import ImageIndex, ImageState, Run
from paircomp.runtime.images import read_rgb, to_rgb
from paircomp.types import GenerationRequest, ImageKey, JudgeRequest, Question

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Estimate", "estimate"]

#: Images drawn and judged for the probe, after one that warms up.
_PROBE_IMAGES = 4
#: A first image that took longer is measure enough.
_PATIENCE = 20.0


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What an evaluation asks for.

    Attributes:
        pairs: selected pairs.
        images: images of the selection.
        images_left: those not drawn yet.
        judgements: questions about the images of the selection.
        start_seconds: loading the generator and the judge, measured.
        image_seconds: per image, measured; ``None`` where there is nothing to draw.
        judgement_seconds: per question, measured; ``None`` where the probe had nothing to judge.
    """

    pairs: int
    images: int
    images_left: int
    judgements: int
    start_seconds: float
    image_seconds: float | None
    judgement_seconds: float | None

    @property
    def seconds(self) -> float:
        """The whole, from the measured parts."""
        drawing = self.images_left * (self.image_seconds or 0.0)
        return self.start_seconds + drawing + self.judgements * (self.judgement_seconds or 0.0)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; times in seconds."""
        return {**dataclasses.asdict(self), "seconds": self.seconds}

    def lines(self) -> list[str]:
        """For people."""
        drawing = "" if self.image_seconds is None else f", {_time(self.image_seconds)} each"
        judging = "" if self.judgement_seconds is None else f", {_time(self.judgement_seconds)} each"
        return [
            f"pairs       {self.pairs}",
            f"images      {self.images} ({self.images_left} to draw{drawing})",
            f"judgements  {self.judgements}{judging}",
            f"about       {_time(self.seconds)} in all, from a probe of a few images on this machine",
        ]


def _time(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def estimate(evaluation: Evaluation) -> Estimate:
    """Count the work, then draw and judge a few images in memory and time them.

    Raises:
        PairCompError: whatever would stand in the way of the evaluation itself.
    """
    suite = evaluation.suite
    pairs = evaluation.selection.pairs(suite)
    images = suite.samples * sum(len(suite.pairs[pair].prompts) for pair in pairs)
    index = _index_of(evaluation)
    left = 0 if evaluation.spec is None else images - int((index.state[list(pairs)] == ImageState.DRAWN).sum())
    requests = missing_images(suite, index, pairs, run_seed=evaluation.seed)
    loading, drawing, pictures = _probe_generator(evaluation, requests if left else ())
    judge_loading, judging = _probe_judge(evaluation, pictures or _existing(evaluation))
    questions = len(suite.pairs[0].prompts) if evaluation.asks_cross() else 1
    return Estimate(
        pairs=len(pairs), images=images, images_left=left, judgements=images * questions,
        start_seconds=loading + judge_loading, image_seconds=drawing, judgement_seconds=judging,
    )  # fmt: skip


def _index_of(evaluation: Evaluation) -> ImageIndex:
    if (evaluation.path / "run.json").is_file():
        return Run.open(evaluation.path).read_images(evaluation.suite)
    return ImageIndex(evaluation.suite)


def _probe_generator(
    evaluation: Evaluation, requests: Iterable[GenerationRequest]
) -> tuple[float, float | None, dict[ImageKey, Image]]:
    """Seconds to load, seconds per image, and the images that were drawn."""
    probe = list(itertools.islice(requests, 1 + _PROBE_IMAGES))
    if not probe:
        return 0.0, None, {}
    started = time.perf_counter()
    with contextlib.closing(evaluation.open_generator()) as generator:
        loaded = time.perf_counter()
        answers = list(generator.generate(probe[:1]))
        each = time.perf_counter() - loaded
        if len(probe) > 1 and each < _PATIENCE:
            warm = time.perf_counter()
            answers += generator.generate(probe[1:])
            each = (time.perf_counter() - warm) / (len(probe) - 1)
    pictures = {answer.key: to_rgb(answer.image) for answer in answers if answer.image is not None}
    return loaded - started, each, pictures


def _existing(evaluation: Evaluation) -> dict[ImageKey, Image]:
    """A few images that already lie in the folder to be judged, or in the run."""
    folder = evaluation.images or evaluation.path / "images"
    keys = (
        ImageKey(pair, prompt, sample)
        for pair in evaluation.selection.pairs(evaluation.suite)
        for prompt in range(len(evaluation.suite.pairs[pair].prompts))
        for sample in range(evaluation.suite.samples)
    )
    found = (key for key in keys if (folder / key.filename).is_file())
    pictures = {
        key: read_rgb((folder / key.filename).read_bytes()) for key in itertools.islice(found, 1 + _PROBE_IMAGES)
    }
    if not pictures and evaluation.spec is None:
        raise MissingImagesError(folder, "none of the suite's images is here; next: check the folder and the suite")
    return pictures


def _probe_judge(evaluation: Evaluation, pictures: dict[ImageKey, Image]) -> tuple[float, float | None]:
    """Seconds to load and seconds per question; nothing per question where there is no image to ask about."""
    requests = [_judge_request(evaluation, key, picture) for key, picture in pictures.items()]
    if not requests:
        return 0.0, None
    started = time.perf_counter()
    with contextlib.closing(evaluation.open_judge()) as judge:
        loaded = time.perf_counter()
        list(judge.judge(requests[:1]))
        each = (time.perf_counter() - loaded) / _questions(requests[:1])
        if len(requests) > 1 and each < _PATIENCE:
            warm = time.perf_counter()
            list(judge.judge(requests[1:]))
            each = (time.perf_counter() - warm) / _questions(requests[1:])
    return loaded - started, each


def _judge_request(evaluation: Evaluation, key: ImageKey, picture: Image) -> JudgeRequest:
    pair = evaluation.suite.pairs[key.pair]
    asked = range(len(pair.prompts)) if evaluation.asks_cross() else (key.prompt,)
    questions = tuple(Question(prompt, pair.prompts[prompt], pair.subtask) for prompt in asked)
    return JudgeRequest(key, (picture,), questions)


def _questions(requests: Sequence[JudgeRequest]) -> int:
    return sum(len(request.questions) for request in requests)
