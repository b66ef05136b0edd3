"""Pairs as a trainer reads them: our own dataset folder, the published trainer's JSON, a folder with JSON Lines.

Nothing is decoded before it is asked for: pictures are named, and :meth:`TrainingPair.load_images` opens them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, overload

from paircomp.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "USUAL_NAMES",
    "ImageFile",
    "PairImage",
    "PairList",
    "PairSequence",
    "TrainingPair",
    "inside_folder",
    "read_pairs",
    "read_prompts",
]


#: What a file of pairs is called where it is not the only one of its folder.
USUAL_NAMES = ("pairs", "metadata", "train")


class PairImage(Protocol):
    """A picture that is there but not decoded yet. It can be pickled, so that workers may load it."""

    def load(self) -> Image:
        """The picture, 8-bit RGB.

        Raises:
            DataError: it cannot be read.
        """
        ...


@dataclass(frozen=True)
class ImageFile:
    """A picture in a file of its own."""

    path: Path

    def load(self) -> Image:
        """Read and decode the file; raises as :meth:`PairImage.load` does."""
        from paircomp.runtime.images import UnreadableImageError, read_rgb

        try:
            return read_rgb(self.path.read_bytes())
        except OSError as error:
            raise DataError(self.path, [error.strerror or str(error)]) from error
        except UnreadableImageError as error:
            raise DataError(self.path, [str(error)]) from error


@dataclass(frozen=True)
class TrainingPair:
    """Two prompts that differ in a few words, each with the picture that shows it and not the other.

    Attributes:
        pair_id: a label; rows that are repeated for balance share it.
        prompts: the two texts.
        images: what shows them, undecoded; ``None`` where there is no picture (reinforcement learning needs none).
        subtask: what the prompts differ in, where that is known.
    """

    pair_id: str
    prompts: tuple[str, str]
    images: tuple[PairImage | None, PairImage | None] = (None, None)
    subtask: str | None = None

    @property
    def has_images(self) -> bool:
        """Whether both prompts have a picture."""
        return None not in self.images

    def load_images(self) -> tuple[Image | None, Image | None]:
        """The pictures, 8-bit RGB, decoded now; ``None`` where there is none.

        Raises:
            DataError: a picture is gone or damaged.
        """
        first, second = (None if image is None else image.load() for image in self.images)
        return first, second


class PairSequence(Sequence[TrainingPair]):
    """Pairs by position; a slice is a list. It can be pickled, for the workers of a data loader.

    Attributes:
        path: what was read.
    """

    path: Path

    def pair(self, position: int) -> TrainingPair:
        """The pair at `position`, which is in ``range(len(self))``."""
        raise NotImplementedError

    @overload
    def __getitem__(self, position: int) -> TrainingPair: ...
    @overload
    def __getitem__(self, position: slice) -> list[TrainingPair]: ...
    def __getitem__(self, position: int | slice) -> TrainingPair | list[TrainingPair]:
        if isinstance(position, slice):
            return [self.pair(each) for each in range(*position.indices(len(self)))]
        if not -len(self) <= position < len(self):
            raise IndexError(f"pair {position} of {len(self)}")
        return self.pair(position % len(self))

    def labels(self) -> Iterator[tuple[str, str, str]]:
        """``(pair_id, prompt, prompt)`` of every pair in order, without touching a picture."""
        return ((pair.pair_id, *pair.prompts) for pair in self)

    def fingerprint(self) -> str:
        """Hex SHA-256 over the ids and prompts in order: what a trainer stores to know its data again."""
        digest = hashlib.sha256()
        for label in self.labels():
            digest.update(json.dumps(label, ensure_ascii=False).encode() + b"\n")
        return digest.hexdigest()


class PairList(PairSequence):
    """Pairs that are all known already.

    Args:
        path: where they came from.
        pairs: in order.
    """

    def __init__(self, path: Path, pairs: Sequence[TrainingPair]) -> None:
        self.path = path
        self._pairs = tuple(pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def pair(self, position: int) -> TrainingPair:
        """The pair at `position`."""
        return self._pairs[position]


def read_pairs(path: str | PathLike[str], *, repeated: bool = True) -> PairSequence:
    """The pairs in a file or folder.

    Args:
        path: a dataset folder of ``focusdiff data build`` (or one of its ``.parquet`` files); the published trainer's
            JSON, a list of ``{"prompt1", "prompt2", "image1", "image2"}`` whose images may be null; a ``.jsonl`` file
            with the same keys; or a folder that holds one such file. Relative image paths start at the file's folder.
            ``pair_id`` (or ``id``) and ``subtask`` (or ``category``) are taken where they are given.
        repeated: give pairs that the dataset repeats for balance as often as it says; each once otherwise.

    Raises:
        DataError: nothing of these, or faults in it; all are named.
        UnavailableError: parquet files need ``pyarrow``.
    """
    place = Path(path)
    if place.is_dir():
        place = inside_folder(place)
    if place.is_dir() or place.suffix == ".parquet":
        from focusdiff.data.parquet_pairs import ParquetPairs

        return ParquetPairs(place, repeated=repeated)
    from focusdiff.data.json_pairs import read_json_pairs

    return PairList(place, list(read_json_pairs(place)))


def inside_folder(folder: Path) -> Path:
    """What of a folder is to be read: itself where it holds parquet files, else its one JSON or JSON Lines file."""
    if any(folder.glob("*.parquet")) or any((folder / "data").glob("*.parquet")):
        return folder
    files = sorted(each for ending in ("jsonl", "json") for each in folder.glob(f"*.{ending}"))
    named = [each for each in files if each.stem in USUAL_NAMES]
    found = named or files
    if len(found) == 1:
        return found[0]
    got = f"{len(found)} of them ({', '.join(each.name for each in found[:4])})" if found else "none"
    raise DataError(
        folder, [f"expected parquet files, or one .jsonl or .json file of pairs, got {got}; next: name a file in it"]
    )


def read_prompts(path: str | PathLike[str]) -> list[str]:
    """Unpaired prompts, one a line; blank lines and blanks around a prompt are dropped.

    The published trainer takes such a file beside its pairs.

    Raises:
        DataError: no such file, not UTF-8, or no prompt in it.
    """
    place = Path(path)
    try:
        text = place.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(place, [f"{error.strerror or error}; next: check the path"]) from error
    except UnicodeDecodeError as error:
        raise DataError(place, [f"expected UTF-8, got byte 0x{error.object[error.start]:02x} at offset {error.start}; "
                                "next: save it as UTF-8"]) from error  # fmt: skip
    prompts = [line.strip() for line in text.split("\n")]
    if not (found := [prompt for prompt in prompts if prompt]):
        raise DataError(place, ["holds no prompt; expected one a line"])
    return found
