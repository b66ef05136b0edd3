"""The generate step: every image of the selection that is not there yet."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from paircomp.errors import GenerationError
from paircomp.pipeline.batching import RememberedBatchSize
from paircomp.pipeline.progress import Progress, Silent, StepCount
from paircomp.pipeline.share import wanted_images
from paircomp.protocols import ImageGenerator
from paircomp.run_store import ImageIndex, ImageState, PartWriter, Run, Selection
from paircomp.runtime.answers import AnswerFault, checked_generated
from paircomp.runtime.batches import Answered, BatchRunner, BatchSize, Failed
from paircomp.runtime.capabilities import closing_part, identity_of
from paircomp.runtime.files import disk_faults, write_atomically
from paircomp.runtime.images import png_bytes
from paircomp.runtime.shards import ALL, Shard
from paircomp.types import Generated, GenerationRequest, ImageKey, Suite, image_seed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

__all__ = ["generate_images", "missing_images"]


def missing_images(
    suite: Suite, index: ImageIndex, wanted: NDArray[np.bool_], *, run_seed: int
) -> Iterator[GenerationRequest]:
    """Requests for those of the `wanted` images (``[P, T, K]``) that are absent or failed, pair by pair."""
    import numpy as np

    missing = wanted & ((index.state == ImageState.ABSENT) | (index.state == ImageState.FAILED))
    for place in np.argwhere(missing).tolist():
        key = ImageKey(*place)
        yield GenerationRequest(key, suite.pairs[key.pair].prompts[key.prompt], image_seed(run_seed, suite.name, key))


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
        records = run.image_records
        index = ImageIndex(suite).read(records.read())
        lost = index.forget_lost_files(run.images_folder)
        wanted = wanted_images(suite, selection.pairs(suite), shard)
        count = _count(index, wanted)
        count.images = index
        count.dropped = lost
        started = time.monotonic()
        heard.start(count, what="images")
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
                    for outcome in _runner(generator, who, size).run(requests):
                        key, record = _store(run, writer, outcome, who=who)
                        index.take(key, record)
                        settled(key, record)
                        count.new += 1
                        count.unscored += "sha256" not in record
                        count.usd += _cost(outcome)
                        heard.advance(count)
        finally:
            if count.new:  # a torn record stays in its file; it is worth a word only while it is done again
                count.dropped += records.dropped + index.dropped
            remembered.store()
            count.seconds = time.monotonic() - started
            heard.finish(count)
    return count


def _count(index: ImageIndex, wanted: NDArray[np.bool_]) -> StepCount:
    settled = wanted & ((index.state == ImageState.DRAWN) | (index.state == ImageState.REFUSED))
    return StepCount("generate", total=int(wanted.sum()), cached=int(settled.sum()))


def _introduce(run: Run, generator: ImageGenerator) -> None:
    run.settle_generator(identity_of(generator), seeded=getattr(generator, "supports_seeds", True))
    keep_logs = getattr(generator, "keep_logs", None)
    if keep_logs is not None:
        keep_logs(run.path / "logs")


def _runner(generator: ImageGenerator, who: str, size: BatchSize) -> BatchRunner[GenerationRequest, Generated]:
    return BatchRunner(
        generator.generate,
        expected=lambda request: (request.key,),
        answered=_key_of,
        who=f"generator {who!r}",
        failure=GenerationError,
        batch_size=size,
    )


def _key_of(answer: Any) -> tuple[int, ...]:
    if not isinstance(answer, Generated):
        raise GenerationError(f"the generator yielded {type(answer).__name__}, expected paircomp.types.Generated")
    return answer.key


def _store(
    run: Run, writer: PartWriter, outcome: Answered[Generated] | Failed[GenerationRequest], *, who: str
) -> tuple[ImageKey, dict[str, Any]]:
    """Write one image, where there is one, and its record."""
    if isinstance(outcome, Failed):
        failed = {**_place(outcome.request.key), "unscored": outcome.reason, "retry": True}
        writer.write(failed)
        return outcome.request.key, failed
    answer = _checked(outcome.answer, who)
    record: dict[str, Any] = {**_place(answer.key), "seed": _seed(run, answer.key), "batch": outcome.batch}
    record |= {name: value for name, value in (("seconds", answer.seconds), ("prompt_sent", answer.prompt_sent))
               if value is not None}  # fmt: skip
    if answer.metadata:
        record["metadata"] = dict(answer.metadata)
    if answer.unscored is not None:
        record |= {"unscored": answer.unscored, **({"retry": True} if answer.retry else {})}
        writer.write(record)
        return answer.key, record
    content = png_bytes(cast("Image", answer.image))
    path = run.images_folder / answer.key.filename
    with disk_faults(path):
        write_atomically(path, content, sync=False)  # the record writer syncs it within a second
    record |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    writer.write(record, file=path)
    return answer.key, record


def _checked(answer: Generated, who: str) -> Generated:
    try:
        return checked_generated(answer)
    except AnswerFault as fault:
        raise GenerationError(f"generator {who!r}: its answer to {tuple(answer.key)} {fault}; "
                              "what was finished is kept") from fault  # fmt: skip


def _cost(outcome: Answered[Generated] | Failed[GenerationRequest]) -> float:
    """US dollars, as the generator counted them."""
    said = outcome.answer.metadata.get("usd") if isinstance(outcome, Answered) else None
    return float(said) if isinstance(said, (int, float)) else 0.0


def _seed(run: Run, key: ImageKey) -> int:
    return image_seed(int(run.identity["run_seed"]), str(run.identity["suite"]["name"]), key)


def _place(key: ImageKey) -> dict[str, int]:
    return {"pair": key.pair, "prompt": key.prompt, "sample": key.sample}
