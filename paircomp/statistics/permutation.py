"""Sign-flip tests of paired differences.

If neither run is better, the difference of a pair is as likely to have one sign as the other. Flipping signs at random
gives the distribution of the mean difference under that hypothesis, without normality.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["SignFlips", "sign_flips"]

_CHUNK_SIGNS = 2_000_000
_ROUNDING = 1e-12  # sums of the same numbers in another order are ties


@dataclass(frozen=True, eq=False)
class SignFlips:
    """Two-sided p-values, ``(b + 1) / (B + 1)`` with b of B flips at least as far from 0 as the observed mean.

    Attributes:
        strata: name -> ``[M]``, the p-value of each measure in that stratum.
        overall: ``[M]`` of the weighted mean over strata.
    """

    strata: Mapping[str, NDArray[np.float64]]
    overall: NDArray[np.float64]


def sign_flips(
    strata: Mapping[str, NDArray[np.float64]], weights: Sequence[float], *, draws: int = 10_000, seed: int = 0
) -> SignFlips:
    """Test whether mean differences are 0.

    Args:
        strata: name -> ``[n_h, M]``, n_h >= 1: differences of pairs in M measures, sorted by pair. A pair's measures
            flip together.
        weights: weight of each stratum's mean in the overall mean; 1/H each for the macro average.
        draws: B, how many flips of all pairs.
        seed: the flips of a stratum depend on this, its name and its size alone.
    """
    measures = next(iter(strata.values())).shape[1]
    flipped_overall, observed_overall = np.zeros((draws, measures)), np.zeros(measures)
    tail: dict[str, NDArray[np.float64]] = {}
    for (name, differences), weight in zip(strata.items(), weights, strict=True):
        flipped = _flipped_means(differences, draws, np.random.default_rng([seed, *name.encode()]))
        observed = differences.mean(axis=0)
        tail[name] = _tail(flipped, observed)
        flipped_overall += weight * flipped
        observed_overall += weight * observed
    return SignFlips(tail, _tail(flipped_overall, observed_overall))


def _tail(flipped: NDArray[np.float64], observed: NDArray[np.float64]) -> NDArray[np.float64]:
    beyond = (np.abs(flipped) >= np.abs(observed) - _ROUNDING).sum(axis=0)
    p_values: NDArray[np.float64] = (beyond + 1) / (len(flipped) + 1)
    return p_values


def _flipped_means(differences: NDArray[np.float64], draws: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """``[draws, M]``: means of ``differences [n, M]`` under random signs."""
    count = len(differences)
    means = np.empty((draws, differences.shape[1]))
    step = max(1, _CHUNK_SIGNS // count)
    total = differences.sum(axis=0)
    for start in range(0, draws, step):
        stop = min(draws, start + step)
        bits = np.frombuffer(generator.bytes((stop - start) * -(-count // 8)), dtype=np.uint8)
        kept = np.unpackbits(bits.reshape(stop - start, -1), axis=1, count=count)  # [step, n] of 0 and 1
        means[start:stop] = (2.0 * (kept.astype(np.float64) @ differences) - total) / count  # signs are 2 * kept - 1
    return means
