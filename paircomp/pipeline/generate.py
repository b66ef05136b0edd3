"""The generate step: every image of the selection that is not there yet."""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from paircomp.errors import GenerationError, RunMismatchError
from paircomp.pipeline.batching import RememberedBatchSize
from paircomp.pipeline.progress import Progress, Silent, StepCount
from paircomp.pipeline.share import wanted_images
from paircomp.protocols import ImageGenerator
from paircomp.run_store import ImageIndex, ImageState, PartWriter, Run, Selection
from paircomp.runtime.answers import AnswerFault, checked_generated
from paircomp.runtime.batches import Answered, BatchRunner, BatchSize, Failed
from paircomp.runtime.capabilities import closing_part, identity_of
from paircomp.runtime.images import png_bytes
from paircomp.runtime.shards import ALL, Shard
from paircomp.runtime.stores import ImageStore
from paircomp.types import Generated, GenerationRequest, ImageKey, Suite, image_seed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

__all__ = [
    "cost_of",
    "count_images",
    "drawing_runner",
    "failed_images",
    "generate_images",
    "image_record",
    "missing_images",
]


def missing_images(
    suite: Suite, index: ImageIndex, wanted: NDArray[np.bool_], *, run_seed: int
) -> Iterator[GenerationRequest]:
    """Requests for those of the `wanted` images (``[P, T, K]``) that are missing, pair by pair.

    Those that were never tried come first, then those that failed before: it may be the prompts' own fault.
    """
    import numpy as np

    missing = [wanted & (index.state == state) for state in (ImageState.ABSENT, ImageState.FAILED)]
    for place in itertools.chain.from_iterable(np.argwhere(each).tolist() for each in missing):
        key = ImageKey(*place)
        yield GenerationRequest(key, suite.pairs[key.pair].prompts[key.prompt], image_seed(run_seed, suite.name, key))


def failed_images(index: ImageIndex) -> frozenset[ImageKey]:
    """Images that an earlier command could not draw and that are tried again."""
    import numpy as np

    return frozenset(ImageKey(*place) for place in np.argwhere(index.state == ImageState.FAILED).tolist())


def generate_images(  # noqa: PLR0913 - all but four keyword-only
    run: Run,
    suite: Suite,
    open_generator: Callable[[], ImageGenerator],
    selection: Selection,
    *,
    who: str,
    begin: Callable[[], None] = lambda: None,
    settled: Callable[[ImageKey, Mapping[str, Any]], None] = lambda key, record: None,
    shard: Shard = ALL,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> StepCount:
    """Draw what is missing; results are on the disk one by one, so a kill loses at most the image being written.

    Args:
        run: where the images go.
        suite: what to draw.
        open_generator: brings the generator; called only when something is missing, and what it brings is closed.
        selection: which pairs.
        who: the generator's name, for messages.
        begin: called once the step is ours, to record that it began.
        settled: called with each image and its record, once both are written.
        shard: which share of the selection; other processes see to the others.
        batch_size: largest batch, never above the generator's ``max_batch_size``; default found while drawing, and
            remembered in the run.
        progress: hears of each image.

    Raises:
        GenerationError: the generator broke its contract or keeps failing.
        RunError: another process is at it, or the disk is full.
    """
    heard: Progress = progress or Silent()
    with run.lock("generate", shard=shard):
        begin()
        records, store = run.image_records, run.image_store
        index = ImageIndex(suite).read(records.read())
        lost = index.forget_lost_files(store)
        wanted = wanted_images(suite, selection.pairs(suite), shard)
        count = count_images(index, wanted)
        count.images = index
        count.dropped = lost
        started = time.monotonic()
        heard.start(count, what="images")
        failed = failed_images(index)
        requests = missing_images(suite, index, wanted, run_seed=int(run.identity["run_seed"]))
        remembered = RememberedBatchSize(records.path)
        try:
            if count.cached < count.total:
                with (
                    closing_part(open_generator(), f"generator {who!r}") as generator,
                    records.writer(shard=shard) as writer,
                ):
                    _introduce(run, generator)
                    size = remembered.choose(generator, batch_size)
                    runner = drawing_runner(generator, who, size, failed=failed)
                    for outcome in runner.run(requests):
                        key, record = _keep(run, store, writer, outcome, who=who)
                        index.take(key, record)
                        settled(key, record)
                        count.new += 1
                        count.unscored += "sha256" not in record
                        count.usd += cost_of(record)
                        heard.advance(count)
                    if left := runner.what_was_left("images"):
                        heard.say(left)
        finally:
            if count.new:  # a torn record stays in its file; it is worth a word only while it is done again
                count.dropped += records.dropped + index.dropped
            remembered.store()
            count.seconds = time.monotonic() - started
            heard.finish(count)
    return count


def count_images(index: ImageIndex, wanted: NDArray[np.bool_]) -> StepCount:
    """How many of the `wanted` images (``[P, T, K]``) there are to be, and how many are settled."""
    settled = wanted & ((index.state == ImageState.DRAWN) | (index.state == ImageState.REFUSED))
    return StepCount("generate", total=int(wanted.sum()), cached=int(settled.sum()))


def _introduce(run: Run, generator: ImageGenerator) -> None:
    try:
        run.settle_generator(identity_of(generator), seeded=getattr(generator, "supports_seeds", True))
    except RunMismatchError:
        run.withdraw("generate")  # else the run would lack what only the refused command asked for
        raise
    keep_logs = getattr(generator, "keep_logs", None)
    if keep_logs is not None:
        keep_logs(run.path / "logs")


def drawing_runner(
    generator: ImageGenerator, who: str, size: BatchSize, *, failed: frozenset[ImageKey] = frozenset()
) -> BatchRunner[GenerationRequest, Generated]:
    """What hands `generator` its requests in batches; images that `failed` before cannot end the step."""
    return BatchRunner(
        generator.generate,
        expected=lambda request: (request.key,),
        answered=_key_of,
        who=f"generator {who!r}",
        failure=GenerationError,
        batch_size=size,
        retried=lambda request: request.key in failed,
    )


def _key_of(answer: Any) -> tuple[int, ...]:
    if not isinstance(answer, Generated):
        raise GenerationError(f"the generator yielded {type(answer).__name__}, expected paircomp.types.Generated")
    return answer.key


def _keep(
    run: Run, store: ImageStore, writer: PartWriter, outcome: Answered[Generated] | Failed[GenerationRequest], *,
    who: str,
) -> tuple[ImageKey, dict[str, Any]]:  # fmt: skip
    """Write one image, where there is one, and its record."""
    key, record, content = image_record(outcome, seed=lambda key: _seed(run, key), who=who)
    # Where it is a file here, the record writer brings it to the disk within a second.
    writer.write(record, file=None if content is None else store.write(key.filename, content, sync=False))
    return key, record


def image_record(
    outcome: Answered[Generated] | Failed[GenerationRequest], *, seed: Callable[[ImageKey], int], who: str
) -> tuple[ImageKey, dict[str, Any], bytes | None]:
    """Which image it is, its record, and its PNG file where there is one.

    Raises:
        GenerationError: the answer breaks the contract.
    """
    if isinstance(outcome, Failed):
        key = outcome.request.key
        return key, {**_place(key), "unscored": outcome.reason, "retry": True}, None
    answer = _checked(outcome.answer, who)
    key = ImageKey(*answer.key)  # a plain tuple of the same numbers is as good
    record: dict[str, Any] = {**_place(key), "seed": seed(key), "batch": outcome.batch}
    record |= {name: value for name, value in (("seconds", answer.seconds), ("prompt_sent", answer.prompt_sent))
               if value is not None}  # fmt: skip
    if answer.metadata:
        record["metadata"] = dict(answer.metadata)
    if answer.unscored is not None:
        return key, {**record, "unscored": answer.unscored, **({"retry": True} if answer.retry else {})}, None
    content = png_bytes(cast("Image", answer.image))
    return key, {**record, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}, content


def _checked(answer: Generated, who: str) -> Generated:
    try:
        return checked_generated(answer)
    except AnswerFault as fault:
        raise GenerationError(f"generator {who!r}: its answer to {tuple(answer.key)} {fault}; "
                              "what was finished is kept") from fault  # fmt: skip


def cost_of(record: Mapping[str, Any]) -> float:
    """US dollars, as the generator counted them."""
    said = record.get("metadata", {}).get("usd")
    return float(said) if isinstance(said, (int, float)) else 0.0


def _seed(run: Run, key: ImageKey) -> int:
    return image_seed(int(run.identity["run_seed"]), str(run.identity["suite"]["name"]), key)


def _place(key: ImageKey) -> dict[str, int]:
    return {"pair": key.pair, "prompt": key.prompt, "sample": key.sample}
