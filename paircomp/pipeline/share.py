"""Which images of a suite a step is about: those of the selected pairs, or one shard's share of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from paircomp.runtime.shards import ALL, Shard
from paircomp.types import Suite

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["wanted_images"]


def wanted_images(suite: Suite, pairs: Sequence[int], shard: Shard = ALL) -> NDArray[np.bool_]:
    """``[P, T, K]``: the images of `pairs` that belong to `shard`.

    Every n-th image in the order of pair, prompt and sample goes to the same shard. So shards differ by one image at
    most, whatever the selection is, and there may be more shards than pairs.

    Args:
        suite: P pairs of at most T prompts, K samples each.
        pairs: positions of the selected pairs.
        shard: whose share.
    """
    import numpy as np

    prompts = max((len(pair.prompts) for pair in suite.pairs), default=1)
    wanted = np.zeros((len(suite.pairs), prompts, suite.samples), bool)
    counts = np.fromiter((len(suite.pairs[pair].prompts) for pair in pairs), int, len(pairs))
    wanted[list(pairs)] = (np.arange(prompts) < counts[:, None])[..., None]
    places = np.flatnonzero(wanted)
    wanted.flat[places[np.arange(len(places)) % shard.count != shard.index]] = False
    return wanted
