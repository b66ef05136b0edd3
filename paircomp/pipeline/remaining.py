"""What is left to do in a run that several processes work on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from paircomp.pipeline.share import wanted_images
from paircomp.run_store import ImageIndex, ImageState, Run, Selection
from paircomp.run_store.image_index import image_files
from paircomp.types import Suite

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["left_to_do"]


def left_to_do(run: Run, suite: Suite, selection: Selection, judges: Sequence[str]) -> tuple[int, int]:
    """How many images were never tried, and how many questions about an image's own prompt were never asked.

    What was tried and failed is done: a report names it.

    Args:
        run: as all shards left it.
        suite: its pairs.
        selection: what was asked for.
        judges: who was asked.
    """
    import numpy as np

    index = run.read_images(suite)
    wanted = wanted_images(suite, selection.pairs(suite))
    absent = wanted & (index.state == ImageState.ABSENT)
    if run.manifest.get("images"):  # those that are not in the folder will not come
        absent &= _there(run, index)
    drawn = wanted & (index.state == ImageState.DRAWN)
    unasked = 0
    for name in judges:
        table = run.judge(name).read(index)
        own = np.einsum("ptkt->ptk", table.state)
        unasked += int((drawn & (own == 0)).sum())
    return int(absent.sum()), unasked


def _there(run: Run, index: ImageIndex) -> NDArray[np.bool_]:
    import numpy as np

    pairs, prompts, samples = index.state.shape
    there = np.zeros((pairs, prompts, samples), bool)
    for key, _ in image_files(run.images_folder):
        if key.pair < pairs and key.prompt < prompts and key.sample < samples:
            there[key] = True
    return there
