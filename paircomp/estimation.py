"""How much work an evaluation is: counted exactly, and timed on a probe of a few images that leaves nothing behind."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paircomp.errors import GenerationError, JudgeError, MissingImagesError, PairCompError
from paircomp.evaluation import Evaluation
from paircomp.pipeline.generate import missing_images
from paircomp.pipeline.share import wanted_images
from paircomp.run_store import ImageIndex, ImageState, JudgementTable, Run
from paircomp.runtime.images import UnreadableImageError, read_rgb, to_rgb
from paircomp.runtime.reasons import reason_of
from paircomp.types import GenerationRequest, ImageKey, JudgeRequest, Question

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
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
        suite_pairs: pairs of the whole suite.
        images: images of the selection.
        images_left: those to be drawn; images that the generator refused for good are not.
        judgements: questions about the images of the selection.
        judgements_left: those not answered yet.
        start_seconds: loading the generator and the judge, measured.
        image_seconds: per image, measured; ``None`` where there is nothing to draw.
        judgement_seconds: per question, measured; ``None`` where the probe had nothing to judge.
    """

    pairs: int
    suite_pairs: int
    images: int
    images_left: int
    judgements: int
    judgements_left: int
    start_seconds: float
    image_seconds: float | None
    judgement_seconds: float | None

    @property
    def seconds(self) -> float:
        """The whole, from the measured parts."""
        drawing = self.images_left * (self.image_seconds or 0.0)
        return self.start_seconds + drawing + self.judgements_left * (self.judgement_seconds or 0.0)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; times in seconds."""
        partial = self.pairs < self.suite_pairs
        return {**dataclasses.asdict(self), "partial": partial, "seconds": self.seconds}

    def lines(self) -> list[str]:
        """For people."""
        drawing = "" if self.image_seconds is None else f", {_time(self.image_seconds)} each"
        judging = "" if self.judgement_seconds is None else f", {_time(self.judgement_seconds)} each"
        part = f" of {self.suite_pairs} (PARTIAL)" if self.pairs < self.suite_pairs else ""
        return [
            f"pairs       {self.pairs}{part}",
            f"images      {self.images} ({self.images_left} to draw{drawing})",
            f"judgements  {self.judgements} ({self.judgements_left} to ask{judging})",
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
        GenerationError: the generator fails on the probe.
        JudgeError: the judge fails on the probe.
        PairCompError: whatever else would stand in the way of the evaluation itself.
    """
    suite = evaluation.suite
    pairs = evaluation.selection.pairs(suite)
    images = suite.samples * sum(len(suite.pairs[pair].prompts) for pair in pairs)
    index = _index_of(evaluation)
    wanted = wanted_images(suite, pairs)
    requests = list(missing_images(suite, index, wanted, run_seed=evaluation.seed)) if evaluation.spec else []
    judgements, judgements_left = _count_judgements(evaluation, index, pairs)
    loading, drawing, pictures = _probe_generator(evaluation, requests)
    if judgements_left:
        pictures = pictures or _existing(evaluation)
    judge_loading, judging = _probe_judge(evaluation, pictures if judgements_left else {})
    return Estimate(
        pairs=len(pairs), suite_pairs=len(suite.pairs), images=images, images_left=len(requests),
        judgements=judgements, judgements_left=judgements_left,
        start_seconds=loading + judge_loading, image_seconds=drawing, judgement_seconds=judging,
    )  # fmt: skip


def _index_of(evaluation: Evaluation) -> ImageIndex:
    if (evaluation.path / "run.json").is_file():
        return Run.open(evaluation.path).read_images(evaluation.suite)
    return ImageIndex(evaluation.suite)


def _count_judgements(evaluation: Evaluation, index: ImageIndex, pairs: Sequence[int]) -> tuple[int, int]:
    """Questions about the images of `pairs`, and those not answered yet; images refused for good have none."""
    import numpy as np

    asked = np.zeros((*index.state.shape, index.state.shape[1]), bool)
    for pair in pairs:
        prompts = len(evaluation.suite.pairs[pair].prompts)
        questions = np.ones((prompts, prompts), bool) if evaluation.asks_cross() else np.eye(prompts, dtype=bool)
        asked[pair, :prompts, :, :prompts] = questions[:, None, :]
    asked &= (index.state != ImageState.REFUSED)[..., None]
    left = asked & ~_settled(evaluation, index)
    return int(asked.sum()), int(left.sum())


def _settled(evaluation: Evaluation, index: ImageIndex) -> NDArray[np.bool_]:
    """``[P, T, K, T]``: the questions that the judge has answered about images that are still there."""
    settled = JudgementTable(index).settled()
    if (evaluation.path / "run.json").is_file():
        run = Run.open(evaluation.path)
        if evaluation.judge_name in run.judges():
            settled = run.judge(evaluation.judge_name).read(index).settled()
    there: NDArray[np.bool_] = settled & (index.state == ImageState.DRAWN)[..., None]
    return there


@contextlib.contextmanager
def _named(who: str, failure: type[PairCompError]) -> Iterator[None]:
    """What a generator or judge raises, in one line."""
    try:
        yield
    except PairCompError:
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {reason_of(error)}"
        raise failure(f"{who} failed on the probe: {said}; next: mend it, or evaluate without --estimate") from error


def _probe_generator(
    evaluation: Evaluation, requests: Sequence[GenerationRequest]
) -> tuple[float, float | None, dict[ImageKey, Image]]:
    """Seconds to load, seconds per image, and the images that were drawn."""
    probe = requests[: 1 + _PROBE_IMAGES]
    if not probe or evaluation.spec is None:
        return 0.0, None, {}
    started = time.perf_counter()
    with (
        _named(f"generator {evaluation.spec.adapter!r}", GenerationError),
        contextlib.closing(evaluation.open_generator()) as generator,
    ):
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
    """A few readable images that already lie in the folder to be judged, or in the run."""
    folder = evaluation.images or evaluation.path / "images"
    keys = (
        ImageKey(pair, prompt, sample)
        for pair in evaluation.selection.pairs(evaluation.suite)
        for prompt in range(len(evaluation.suite.pairs[pair].prompts))
        for sample in range(evaluation.suite.samples)
    )
    found = (key for key in keys if (folder / key.filename).is_file())
    pictures = dict(itertools.islice(_readable(folder, found), 1 + _PROBE_IMAGES))
    if not pictures and evaluation.spec is None:
        raise MissingImagesError(folder, "none of the suite's images is here, or none can be read; next: check the "
                                         "folder and the suite")  # fmt: skip
    return pictures


def _readable(folder: Path, keys: Iterable[ImageKey]) -> Iterator[tuple[ImageKey, Image]]:
    for key in keys:
        with contextlib.suppress(UnreadableImageError, OSError):  # the judge step records why
            yield key, read_rgb((folder / key.filename).read_bytes())


def _probe_judge(evaluation: Evaluation, pictures: Mapping[ImageKey, Image]) -> tuple[float, float | None]:
    """Seconds to load and seconds per question; nothing per question where there is no image to ask about."""
    requests = [_judge_request(evaluation, key, picture) for key, picture in pictures.items()]
    if not requests:
        return 0.0, None
    started = time.perf_counter()
    with (
        _named(f"judge {evaluation.judge_name!r}", JudgeError),
        contextlib.closing(evaluation.open_judge()) as judge,
    ):
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
