"""Which images of a suite exist: arrays instead of objects, so that a million images take megabytes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paircomp.run_store.records import Records
from paircomp.runtime.files import write_atomically
from paircomp.runtime.stores import FolderStore, ImageStore
from paircomp.types import ImageKey, Suite

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["CHANGED", "ImageIndex", "ImageState", "fingerprint"]

#: Why an image has no score whose file is another one than its record speaks of.
CHANGED = "the image changed since it was recorded"
#: In the folder of images: until when each file was found as its record has it, in ns.
_COMPARED = ".compared"
_NEVER_LATER = 2**63 - 1


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
        recorded: ``[P, T, K]`` when the part that holds the image's record was last written, in ns.
        changed: images whose file is another one than their record speaks of; they count as absent.
        reasons: why images are refused or failed.
        dropped: records of the last reading with fields that are missing or of another type; they count as never
            written.
    """

    state: NDArray[np.uint8]
    size: NDArray[np.int64]
    tag: NDArray[np.uint64]
    modified: NDArray[np.int64]
    recorded: NDArray[np.int64]

    def __init__(self, suite: Suite) -> None:
        import numpy as np

        prompts = max((len(pair.prompts) for pair in suite.pairs), default=1)
        shape = (len(suite.pairs), prompts, suite.samples)
        self.state = np.zeros(shape, np.uint8)
        self.size = np.zeros(shape, np.int64)
        self.tag = np.zeros(shape, np.uint64)
        self.modified = np.zeros(shape, np.int64)
        self.recorded = np.zeros(shape, np.int64)
        self.changed: set[ImageKey] = set()
        self.reasons: dict[ImageKey, str] = {}
        self.dropped = 0

    def read(self, records: Iterable[Mapping[str, Any]]) -> ImageIndex:
        """Take in image records; later ones win. Records outside the suite are left out, damaged ones are counted."""
        pairs, prompts, samples = self.state.shape
        self.dropped = 0
        dated = records if isinstance(records, Records) else None
        for record in records:
            try:
                pair, prompt, sample = key = (record["pair"], record["prompt"], record["sample"])
                if not type(pair) is type(prompt) is type(sample) is int or pair < 0 or prompt < 0 or sample < 0:
                    self.dropped += 1
                elif pair < pairs and prompt < prompts and sample < samples:
                    self.take(key, record, written=dated.written if dated else _NEVER_LATER)
            except (KeyError, TypeError, ValueError, OverflowError):
                self.dropped += 1
        return self

    def take(self, key: tuple[int, int, int], record: Mapping[str, Any], *, written: int = _NEVER_LATER) -> None:
        """Take in one record of an image of the suite.

        Args:
            key: which image.
            record: what was recorded of it.
            written: when, in ns; a file that changed later is compared with the record.

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
            self.recorded[key] = written
            self.state[key] = ImageState.DRAWN.value
        else:
            reason = record["unscored"]
            if type(reason) is not str:
                raise TypeError("unscored: expected text")
            self.state[key] = (ImageState.FAILED if record.get("retry") else ImageState.REFUSED).value
            self.reasons[ImageKey(*key)] = reason

    def forget_lost_files(self, store: ImageStore) -> int:
        """Mark as absent what a record claims and `store` does not hold as it was recorded; returns how many.

        A file of the recorded size is read only where it may be another one: it changed after its record was written,
        or an imported one has another modification time. Files that prove to be the same are not read again. Buckets
        tell sizes alone.
        """
        import numpy as np

        size, modified, changed = (np.zeros_like(self.size) for _ in range(3))
        pairs, prompts, samples = size.shape
        for key, said in _stored_images(store):
            if key.pair < pairs and key.prompt < prompts and key.sample < samples:
                size[key], modified[key], changed[key] = said
        drawn = self.state == ImageState.DRAWN
        lost = drawn & (size != self.size)
        later = changed > np.maximum(self.recorded, _compared_until(store))
        imported = self.modified != 0
        doubtful = drawn & ~lost & (later | (imported & (modified != self.modified)))
        places = (ImageKey(*place) for place in np.argwhere(doubtful).tolist())
        self.changed = {key for key in places if not self._is_recorded(store, key)}
        for key in self.changed:
            lost[key] = True
        if doubtful.any() and not self.changed and not (doubtful & imported).any():
            _note_compared(store, int(changed[doubtful].max()))
        self.state[lost] = ImageState.ABSENT
        return int(lost.sum())

    def _is_recorded(self, store: ImageStore, key: ImageKey) -> bool:
        try:
            return fingerprint(store.read(key.filename)) == int(self.tag[key])
        except OSError:
            return False


def fingerprint(content: bytes) -> int:
    """The first 64 bits of the SHA-256 of an image file, by which judgements name the image they looked at."""
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big")


def _stored_images(store: ImageStore) -> Iterator[tuple[ImageKey, tuple[int, int, int]]]:
    """Each image with its size, when it was modified, and when its file was last changed in any way (ns, 0: unknown).

    A file that another takes the place of keeps its modification time; the time of change tells.
    """
    if not isinstance(store, FolderStore):
        for name, size in store.sizes():
            if (key := ImageKey.from_filename(name)) is not None:
                yield key, (size, 0, 0)
        return
    for key, entry in image_files(Path(store.location)):
        with contextlib.suppress(FileNotFoundError):
            said = entry.stat()
            # Windows has the time of creation in its place.
            changed = said.st_mtime_ns if sys.platform == "win32" else said.st_ctime_ns
            yield key, (said.st_size, said.st_mtime_ns, changed)


def _compared_until(store: ImageStore) -> int:
    if not isinstance(store, FolderStore):
        return 0
    try:
        return min(int(store.read(_COMPARED)), _NEVER_LATER)
    except (OSError, ValueError):
        return 0


def _note_compared(store: ImageStore, moment: int) -> None:
    with contextlib.suppress(OSError):  # a run that may only be read: its files are compared again the next time
        write_atomically(Path(store.location) / _COMPARED, f"{moment}\n".encode())


def image_files(folder: Path) -> Iterator[tuple[ImageKey, os.DirEntry[str]]]:
    """Officially named images in `folder`, in no order; nothing where there is no folder."""
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            key = ImageKey.from_filename(entry.name)
            if key is not None and entry.is_file():
                yield key, entry
