"""Finding pairs that are there twice: exactly, by digests of their pixels; nearly, by captions and perceptual hashes.

Nearly means both: captions that share most of their three-word runs, and pictures whose hashes differ in few bits. A
picture that was edited in several ways is no duplicate, nor is a sentence with several pictures.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from focusdiff.data.words import word_ngrams

__all__ = ["DuplicateFinder"]

_NGRAM = 3
_DIGEST_BYTES = 16  # of the two pictures of a pair
_BANDS, _ROWS = 8, 2  # captions that share 0.8 of their runs miss one another once in 3,000 times
_ESTIMATE_OFF = 0.3  # three standard deviations of an estimate from 16 draws
_PRIME = (1 << 31) - 1
_LONGEST_BUCKET = 512  # a picture is compared with so many of those before it

Numbers = npt.NDArray[np.int64]
Captions = tuple[str, str]


class DuplicateFinder:
    """Gathers what is known of each pair in about 150 bytes, then says which pairs to leave out.

    Args:
        bits: hashes of two pictures that differ in at most so many of 192 bits are those of one picture.
        overlap: captions that share this much of their three-word runs (Jaccard) are one caption.
    """

    def __init__(self, *, bits: int = 4, overlap: float = 0.8) -> None:
        self._bits, self._overlap = bits, overlap
        self._digests, self._hashes, self._signatures = bytearray(), bytearray(), bytearray()
        factors = np.random.Generator(np.random.PCG64(7)).integers(1, _PRIME, size=(2, _BANDS * _ROWS))
        self._factors: Numbers = factors.astype(np.int64)

    def add(self, captions: Captions, digests: Sequence[str], hashes: Sequence[str]) -> None:
        """Note the next pair."""
        # The same two pictures the other way round are the same pair.
        self._digests.extend(bytes.fromhex("".join(sorted(digests))))
        self._hashes.extend(bytes.fromhex("".join(hashes)))
        self._signatures.extend(self._signature(captions).tobytes())

    def _signature(self, captions: Captions) -> npt.NDArray[np.int32]:
        """MinHash of both captions' three-word runs: ``[16]``."""
        runs = _runs(captions)
        codes = np.array([zlib.crc32(" ".join(run).encode()) % _PRIME for run in runs], dtype=np.int64)
        spread = (codes[:, None] * self._factors[0] + self._factors[1]) % _PRIME  # [runs, 16]
        return np.asarray(spread.min(axis=0), dtype=np.int32)

    def exact(self) -> Numbers:
        """Numbers of the pairs whose pictures were there before, ascending."""
        return _later(np.frombuffer(self._digests, dtype=f"S{_DIGEST_BYTES}"))

    def near(self, captions_of: Callable[[int], Captions], *, left_out: Numbers) -> Numbers:
        """Numbers of the pairs that nearly repeat an earlier one, ascending.

        Args:
            captions_of: gives the captions of a pair; asked of candidates only.
            left_out: pairs that are out already, and that nothing is compared with.
        """
        count = len(self._digests) // _DIGEST_BYTES
        if not count:
            return np.empty(0, dtype=np.int64)
        signatures = np.frombuffer(self._signatures, dtype=np.int32).reshape(count, _BANDS, _ROWS)
        hashes = np.frombuffer(self._hashes, dtype=np.uint64).reshape(count, 2, -1)
        out = np.zeros(count, dtype=bool)
        out[left_out] = True
        found = np.zeros(count, dtype=bool)
        seen: set[int] = set()  # a sentence that occurs often fills the same bucket in every band
        for band in range(_BANDS):
            for bucket in _buckets(signatures[:, band].astype(np.int64)):
                if (key := hash(bucket.tobytes())) not in seen:
                    seen.add(key)
                    self._compare(bucket[~out[bucket]], hashes, signatures, found, captions_of)
        return np.flatnonzero(found)

    def _compare(
        self, bucket: Numbers, hashes: npt.NDArray[np.uint64], signatures: npt.NDArray[np.int32],
        found: npt.NDArray[np.bool_],
        captions_of: Callable[[int], Captions],
    ) -> None:  # fmt: skip
        for place in range(1, len(bucket)):
            number = int(bucket[place])
            earlier = bucket[max(0, place - _LONGEST_BUCKET) : place]
            earlier = earlier[~found[earlier]]
            if found[number] or not len(earlier):
                continue
            differing = _ones(hashes[earlier] ^ hashes[number]).sum(axis=2)  # [earlier, 2]
            # What the signatures share estimates the overlap; captions far below the bound are not even read.
            shared = (signatures[earlier] == signatures[number]).mean(axis=(1, 2))
            alike = (differing <= self._bits).all(axis=1) & (shared >= self._overlap - _ESTIMATE_OFF)
            for other in earlier[alike].tolist():
                if self._alike(captions_of(number), captions_of(other)):
                    found[number] = True
                    break

    def _alike(self, first: Captions, second: Captions) -> bool:
        one, other = _runs(first), _runs(second)
        return len(one & other) >= self._overlap * len(one | other)


def _ones(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    """How many bits of each word are set."""
    if hasattr(np, "bitwise_count"):  # from numpy 2
        return np.asarray(np.bitwise_count(words), dtype=np.uint8)
    bits = np.unpackbits(words[..., None].view(np.uint8), axis=-1)
    return np.asarray(bits.sum(axis=-1), dtype=np.uint8)


def _runs(captions: Captions) -> frozenset[tuple[str, ...]]:
    return word_ngrams(captions[0], _NGRAM) | word_ngrams(captions[1], _NGRAM)


def _later(keys: npt.NDArray[np.bytes_]) -> Numbers:
    """Numbers of the keys that stand further ahead already."""
    _, first = np.unique(keys, return_index=True)
    repeated = np.ones(len(keys), dtype=bool)
    repeated[first] = False
    return np.flatnonzero(repeated)


def _buckets(rows: Numbers) -> list[Numbers]:
    """Numbers of equal rows, ascending within each group of two and more."""
    keys = rows[:, 0] * _PRIME + rows[:, 1]
    order = np.argsort(keys, kind="stable")
    ends = np.flatnonzero(np.diff(keys[order])) + 1
    return [bucket for bucket in np.split(order, ends) if len(bucket) > 1]
