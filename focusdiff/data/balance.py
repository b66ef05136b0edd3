"""Shares of the subtasks: what is rare is repeated, nothing is dropped.

The paper names few counting and text pairs as its limitation. A repeat is a number beside the pair (the column
``repeats``), not a copy of its pictures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from paircomp.errors import ConfigError
from paircomp.types import Subtask

__all__ = ["Balance", "parse_shares", "repeats_of"]

_NAMES = ("equal", "as-is")


@dataclass(frozen=True)
class Balance:
    """How often the pairs of each subtask are repeated.

    Attributes:
        shares: wanted, by subtask; empty leaves everything as it is.
        most: no pair is repeated more often.
    """

    shares: Mapping[str, float]
    most: int = 4

    def rates(self, pairs: Mapping[str, int]) -> dict[str, float]:
        """Mean repeats of a pair by subtask, at least 1.

        The subtask that has most beyond its share stays as it is; the others are repeated up to theirs, as far as
        `most` allows. Subtasks without a wanted share stay as they are.

        Args:
            pairs: how many there are, by subtask.
        """
        wanted = {name: share for name, share in self.shares.items() if share > 0 and pairs.get(name)}
        if not wanted:
            return dict.fromkeys(pairs, 1.0)
        whole = max(pairs[name] / share for name, share in wanted.items())
        return {
            name: min(float(self.most), max(1.0, whole * wanted[name] / count)) if name in wanted else 1.0
            for name, count in pairs.items()
        }


def repeats_of(pair_id: str, rate: float) -> int:
    """How often one pair is repeated, so that the mean over many is `rate`: decided by its name alone.

    Example:
        >>> repeats_of("a", 2.0)
        2
    """
    whole, rest = int(rate), rate - int(rate)
    drawn = int.from_bytes(hashlib.sha256(f"repeats {pair_id}".encode()).digest()[:6], "big") / 2**48
    return whole + (drawn < rest)


def parse_shares(text: str) -> Mapping[str, float]:
    """Wanted shares: ``equal``, ``as-is``, or ``color=0.3,counting=0.2,…`` (scaled to sum to 1).

    Raises:
        ConfigError: none of these; names every fault.
    """
    if text == "as-is":
        return {}
    if text == "equal":
        return dict.fromkeys(map(str, Subtask), 1 / len(Subtask))
    shares: dict[str, float] = {}
    faults = []
    for word in text.split(","):
        name, separator, number = word.strip().partition("=")
        try:
            share = float(number) if separator else -1.0
        except ValueError:
            share = -1.0
        if name not in set(Subtask) or not 0 <= share < float("inf"):
            faults.append(f"{word.strip()!r}: expected SUBTASK=SHARE with one of {', '.join(Subtask)}")
        else:
            shares[name] = share
    if not faults and not sum(shares.values()):
        faults.append("the shares sum to 0")
    if faults:
        raise ConfigError(faults, where=f"shares (expected {', '.join(_NAMES)}, or a list)")
    total = sum(shares.values())
    return {name: share / total for name, share in shares.items()}
