"""Which images of a suite exist: arrays instead of objects, so that a million images take megabytes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paircomp.runtime.stores import ImageStore
from paircomp.types import ImageKey, Suite

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["ImageIndex", "ImageState"]


class ImageState(IntEnum):
    """What is known of one image."""

    ABSENT = 0
    DRAWN = 1
    REFUSED = 2
    """The generator said why there is none; final."""
    FAILED = 3
    """An error stood in the way; the next generate step tries again."""


class ImageIndex:
    """State, size and fingerprint of every image of a suite.

    Args:
        suite: gives P pairs, T prompts a pair and K samples.

    Attributes:
        state: ``[P, T, K]`` of :class:`ImageState`.
        size: ``[P, T, K]`` file size in bytes.
        tag: ``[P, T, K]`` first 64 bits of the file's SHA-256; a judgement holds the tag of the image it looked at.
        modified: ``[P, T, K]`` modification time in ns, of imported images.
        reasons: why images are refused or failed.
        dropped: records of the last reading with fields that are missing or of another type; they count as never
            written.
    """

    state: NDArray[np.uint8]
    size: NDArray[np.int64]
    tag: NDArray[np.uint64]
    modified: NDArray[np.int64]

    def __init__(self, suite: Suite) -> None:
        import numpy as np

        prompts = max((len(pair.prompts) for pair in suite.pairs), default=1)
        shape = (len(suite.pairs), prompts, suite.samples)
        self.state = np.zeros(shape, np.uint8)
        self.size = np.zeros(shape, np.int64)
        self.tag = np.zeros(shape, np.uint64)
        self.modified = np.zeros(shape, np.int64)
        self.reasons: dict[ImageKey, str] = {}
        self.dropped = 0

    def read(self, records: Iterable[Mapping[str, Any]]) -> ImageIndex:
        """Take in image records; later ones win. Records outside the suite are left out, damaged ones are counted."""
        pairs, prompts, samples = self.state.shape
        self.dropped = 0
        for record in records:
            try:
                pair, prompt, sample = key = (record["pair"], record["prompt"], record["sample"])
                if not type(pair) is type(prompt) is type(sample) is int or pair < 0 or prompt < 0 or sample < 0:
                    self.dropped += 1
                elif pair < pairs and prompt < prompts and sample < samples:
                    self.take(key, record)
            except (KeyError, TypeError, ValueError, OverflowError):
                self.dropped += 1
        return self

    def take(self, key: tuple[int, int, int], record: Mapping[str, Any]) -> None:
        """Take in one record of an image of the suite.

        Raises:
            KeyError, TypeError, ValueError, OverflowError: the record is damaged; nothing of the image becomes valid.
        """
        if "sha256" in record:
            size, tag, modified = record["bytes"], int(record["sha256"][:16], 16), record.get("modified", 0)
            if not type(size) is type(modified) is int:
                raise TypeError("bytes and modified: expected whole numbers")
            self.tag[key] = tag
            self.size[key] = size
            self.modified[key] = modified or self.modified[key]
            self.state[key] = ImageState.DRAWN.value
        else:
            reason = record["unscored"]
            if type(reason) is not str:
                raise TypeError("unscored: expected text")
            self.state[key] = (ImageState.FAILED if record.get("retry") else ImageState.REFUSED).value
            self.reasons[ImageKey(*key)] = reason

    def forget_lost_files(self, store: ImageStore) -> int:
        """Mark as absent what a record claims and `store` does not hold in the recorded size; returns how many."""
        import numpy as np

        found = np.zeros_like(self.size)
        pairs, prompts, samples = found.shape
        for name, size in store.sizes():
            key = ImageKey.from_filename(name)
            if key is not None and key.pair < pairs and key.prompt < prompts and key.sample < samples:
                found[key] = size
        lost = (self.state == ImageState.DRAWN) & (found != self.size)
        self.state[lost] = ImageState.ABSENT
        return int(lost.sum())


def image_files(folder: Path) -> Iterator[tuple[ImageKey, os.DirEntry[str]]]:
    """Officially named images in `folder`, in no order; nothing where there is no folder."""
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            key = ImageKey.from_filename(entry.name)
            if key is not None and entry.is_file():
                yield key, entry
