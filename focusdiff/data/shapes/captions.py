"""The captioner ``grammar``: reads both pictures of the shapes world and says what it sees, alike in structure."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from focusdiff.data.captions import Captioned, CaptionRequest
from focusdiff.data.shapes.seeing import readings
from focusdiff.data.words import word_edits
from paircomp.errors import ConfigError
from paircomp.shapes.grammar import Wording, write_prompt
from paircomp.shapes.perception import look, to_pixels

__all__ = ["GrammarCaptioner", "grammar"]


def grammar(*, checkpoint: str | None = None, device: str = "cpu", dtype: str | None = None) -> GrammarCaptioner:
    """Captions of the embedded shapes world, read off the pixels by its grammar; needs no weights.

    Args:
        checkpoint: none is needed.
        device: any; it runs on the CPU.
        dtype: any; it has no weights.

    Raises:
        ConfigError: a checkpoint was given.
    """
    del device, dtype
    if checkpoint is not None:
        raise ConfigError([f"checkpoint: it has no weights, got {checkpoint!r}"], where="captioner 'grammar'")
    return GrammarCaptioner()


class GrammarCaptioner:
    """See :func:`grammar`. The second attempt names the background first."""

    identity: Mapping[str, Any] = {"rules": "grammar/1"}

    def caption(self, requests: Sequence[CaptionRequest]) -> Iterator[Captioned]:
        """One answer per request, in order."""
        for request in requests:
            yield self._answer(request)

    def close(self) -> None:
        """Nothing to free."""

    def _answer(self, request: CaptionRequest) -> Captioned:
        wording = Wording.BACKGROUND_FIRST if request.attempt else Wording.CONTENT_FIRST
        seen = [[write_prompt(scene, wording) for scene in readings(look(to_pixels(each)))] for each in request.images]
        both = list(itertools.product(*seen))
        if not both:
            which = "before" if not seen[0] else "after"
            return Captioned(request.position, unscored=f"the picture {which} is none of the shapes world")
        differing = [texts for texts in both if texts[0] != texts[1]]
        if not differing:
            return Captioned(request.position, unscored="both pictures show the same")
        first, second = min(differing, key=lambda texts: word_edits(*texts))
        return Captioned(request.position, captions=(first, second))
