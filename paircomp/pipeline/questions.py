"""Which questions a judge is still to be asked about the images of a run, also while more images arrive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from paircomp.errors import MissingImagesError
from paircomp.pipeline.progress import StepCount
from paircomp.pipeline.share import wanted_images
from paircomp.run_store import ImageIndex, ImageState, JudgementTable, Run, Selection
from paircomp.runtime.shards import Shard
from paircomp.types import ImageKey, Question, Suite

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["OpenQuestions"]


class OpenQuestions:
    """The questions about the images of a selection that have no answer yet.

    Args:
        run: names the folder of images in messages.
        suite: the prompts.
        index: the images there are.
        table: the answers there are.
        selection: which pairs.
        shard: which share of their images.
        cross: ask about the other prompts of the pair too.
        arriving: whether a generate step that goes on now brings the images that are missing.

    Attributes:
        count: how many questions there are; of images that may still arrive all are counted until these have.

    Raises:
        MissingImagesError: there is no image at all in this share, and none arrives.
    """

    def __init__(
        self,
        run: Run,
        suite: Suite,
        index: ImageIndex,
        table: JudgementTable,
        *,
        selection: Selection,
        shard: Shard,
        cross: bool,
        arriving: bool,
    ) -> None:
        self._images = run.images_folder
        self._suite = suite
        self._index = index
        self._whole = shard.whole
        self._wanted = wanted_images(suite, selection.pairs(suite), shard)
        self._asked = self._questions(cross=cross)
        self._settled = table.settled()
        self._failed = (self._asked & table.failed()).any(axis=3)
        drawn = self._drawn()
        self._expected = self._wanted & ~drawn & (index.state != ImageState.REFUSED) & arriving
        if not arriving:
            self.refuse_nothing()
        cached = self._asked & drawn[..., None] & self._settled
        self.count = StepCount("judge", total=int((self._asked & (drawn | self._expected)[..., None]).sum()))
        self.count.cached = int(cached.sum())

    def _drawn(self) -> NDArray[np.bool_]:
        drawn: NDArray[np.bool_] = self._wanted & (self._index.state == ImageState.DRAWN)
        return drawn

    def _questions(self, *, cross: bool) -> NDArray[np.bool_]:
        """``[P, T, K, T]``: the questions about the wanted images, wherever these are."""
        import numpy as np

        prompts = self._wanted.shape[1]
        counts = np.fromiter((len(pair.prompts) for pair in self._suite.pairs), int, len(self._wanted))
        there = np.arange(prompts) < counts[:, None]  # [P, judged prompt]
        about = np.ones((prompts, prompts), bool) if cross else np.eye(prompts, dtype=bool)
        asked: NDArray[np.bool_] = np.einsum("ptk,tj,pj->ptkj", self._wanted, about, there)
        return asked

    def refuse_nothing(self) -> None:
        """Complain where there is no image at all; a shard may be empty, or all of its images refused.

        Raises:
            MissingImagesError: there is none.
        """
        refused = (self._index.state[self._wanted] == ImageState.REFUSED).all()  # true also where a shard has no share
        if not self._drawn().any() and (self._whole or not refused):
            reason = next(iter(self._index.reasons.values()), None)
            said = "" if reason is None else f": the generator said: {reason}"
            following = "paircomp generate" if reason is None else "mend that and evaluate again"
            raise MissingImagesError(self._images, f"there is no image to judge{said}; next: {following}")

    def at_start(self) -> Iterator[tuple[ImageKey, tuple[Question, ...]]]:
        """Images that are there, each with its open questions; those that failed before come last."""
        import numpy as np

        # Found now: an image that arrives later must not be met here as well.
        still_open = self._asked & self._drawn()[..., None] & ~self._settled
        met = still_open.any(axis=3)
        for part in (met & ~self._failed, met & self._failed):
            for place in np.argwhere(part).tolist():
                key = ImageKey(*place)
                yield key, self._of(key, still_open[key])

    def failed(self) -> frozenset[ImageKey]:
        """Images about which an earlier command could not get an answer."""
        import numpy as np

        return frozenset(ImageKey(*place) for place in np.argwhere(self._failed).tolist())

    def arrive(self, key: ImageKey, record: Mapping[str, Any]) -> tuple[Question, ...]:
        """Take in an image that was just settled; what is to be asked about it."""
        import numpy as np

        there, before = self._index.state[key] == ImageState.DRAWN, self._index.tag[key]
        self._index.take(key, record)
        asked = int(self._asked[key].sum())
        if self._expected[key]:
            self._expected[key] = False
        elif there and before == self._index.tag[key]:
            return ()  # it was there when this step began, and is asked about from the start
        else:
            self.count.total += asked
        if self._index.state[key] != ImageState.DRAWN:
            self.count.total -= asked
            return ()
        # What was said of the same picture still holds.
        settled = self._settled[key] if before == self._index.tag[key] else np.zeros_like(self._settled[key])
        self.count.cached += int((self._asked[key] & settled).sum())
        return self._of(key, self._asked[key] & ~settled)

    def nothing_more(self) -> None:
        """Hear that no further image arrives."""
        self.count.total -= int(self._asked[self._expected].sum())
        self._expected[:] = False

    def _of(self, key: ImageKey, open_prompts: NDArray[np.bool_]) -> tuple[Question, ...]:
        import numpy as np

        pair = self._suite.pairs[key.pair]
        prompts = np.flatnonzero(open_prompts).tolist()
        return tuple(Question(prompt, pair.prompts[prompt], pair.subtask) for prompt in prompts)
