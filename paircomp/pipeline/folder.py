"""The import step: a folder of officially named images, from any model, taken into a run without copying it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from paircomp.errors import MissingImagesError
from paircomp.pipeline.progress import Progress, Silent, StepCount
from paircomp.pipeline.share import wanted_images
from paircomp.run_store import ImageIndex, ImageState, PartWriter, Run, Selection
from paircomp.run_store.image_index import image_files
from paircomp.runtime.files import disk_faults
from paircomp.runtime.shards import ALL, Shard
from paircomp.types import ImageKey, Suite

__all__ = ["import_images"]


def import_images(
    run: Run,
    suite: Suite,
    selection: Selection,
    *,
    begin: Callable[[], None] = lambda: None,
    shard: Shard = ALL,
    progress: Progress | None = None,
) -> StepCount:
    """Record fingerprint and size of every image of the selection; one that changed since is recorded anew.

    Args:
        run: names the folder.
        suite: which images there may be.
        selection: which pairs.
        begin: called once the step is ours, to record that it began.
        shard: which share of the images; other processes see to the others.
        progress: hears of each image.

    Raises:
        MissingImagesError: not one of the images is there.
        RunError: the folder is not there or another process is at it.
    """
    heard: Progress = progress or Silent()
    folder = run.images_folder
    with run.lock("import", shard=shard), disk_faults(folder):
        begin()
        if not folder.is_dir():
            raise MissingImagesError(folder, "expected a folder of images named {pair}_{prompt}_{sample}.png, got "
                                     + ("a file" if folder.exists() else "nothing"))  # fmt: skip
        index = ImageIndex(suite).read(run.image_records.read())
        index.forget_lost_files(run.image_store)
        pairs = selection.pairs(suite)
        found = _wanted_files(folder, suite, set(pairs), heard)
        if not found:
            raise MissingImagesError(folder, _none_of(suite, pairs))
        mine = wanted_images(suite, pairs, shard)
        found = {key: said for key, said in found.items() if mine[key]}
        changed = [(key, said) for key, said in sorted(found.items()) if _differs(index, key, said)]
        count = StepCount("import", total=len(found), cached=len(found) - len(changed))
        started = time.monotonic()
        heard.start(count, what="images")
        try:
            if changed:
                with run.image_records.writer(shard=shard) as writer:
                    _record(writer, folder, changed, count, heard)
        finally:
            count.seconds = time.monotonic() - started
            heard.finish(count)
    return count


def _none_of(suite: Suite, pairs: Sequence[int]) -> str:
    """What to say when not one image of the pairs is there."""
    whole = len(pairs) == len(suite.pairs)
    whose = f"suite {suite.name!r}" if whole else f"the {len(pairs)} pairs that were selected of {len(suite.pairs)}"
    where = "the folder and the suite" if whole else "the folder, the suite and --limit or --subtask"
    return (
        f"no image of {whose} is here, expected names such as {ImageKey(pairs[0], 0, 0).filename}; next: check {where}"
    )


def _wanted_files(folder: Path, suite: Suite, pairs: set[int], progress: Progress) -> dict[ImageKey, tuple[int, int]]:
    """Size and modification time of the images that the selection asks for."""
    found: dict[ImageKey, tuple[int, int]] = {}
    beyond = 0
    for key, entry in image_files(folder):
        inside = key.pair < len(suite.pairs) and key.prompt < len(suite.pairs[key.pair].prompts)
        if not inside or key.sample >= suite.samples:
            beyond += 1
        elif key.pair in pairs:
            said = entry.stat()
            found[key] = (said.st_size, said.st_mtime_ns)
    if beyond:
        progress.say(f"{beyond} images in {folder} lie outside suite {suite.name!r} "
                     f"({len(suite.pairs)} pairs, {suite.samples} samples a prompt) and are left out")  # fmt: skip
    return found


def _differs(index: ImageIndex, key: ImageKey, said: tuple[int, int]) -> bool:
    if index.state[key] != ImageState.DRAWN:
        return True
    return (int(index.size[key]), int(index.modified[key])) != said


def _record(
    writer: PartWriter, folder: Path, changed: list[tuple[ImageKey, tuple[int, int]]], count: StepCount,
    progress: Progress,
) -> None:  # fmt: skip
    for key, (_, modified) in changed:
        content = (folder / key.filename).read_bytes()
        record: dict[str, Any] = {
            "pair": key.pair, "prompt": key.prompt, "sample": key.sample,
            "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content), "modified": modified,
        }  # fmt: skip
        writer.write(record)
        count.new += 1
        progress.advance(count)
