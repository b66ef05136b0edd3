"""What a captioner must offer, and the captioner that takes the source's own captions.

A captioner is found by name (entry-point group ``paircomp.captioners``); its factory is
``(*, checkpoint, device, dtype, **options)`` as that of a judge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["CaptionRequest", "Captioned", "Captioner", "SourceCaptioner", "source_captions"]


@dataclass(frozen=True)
class CaptionRequest:
    """Two pictures to be captioned alike.

    Attributes:
        position: of the record; the answer carries it too.
        images: before and after the edit, RGB.
        instruction: the edit in words.
        source_captions: what the source says of the two pictures.
        attempt: 0; 1 when the first captions failed verification.
        failed: those captions and why they failed, with attempt 1.
    """

    position: int
    images: tuple[Image, Image]
    instruction: str
    source_captions: tuple[str | None, str | None] = (None, None)
    attempt: int = 0
    failed: tuple[tuple[str, str], str] | None = None


@dataclass(frozen=True)
class Captioned:
    """A captioner's answer.

    Attributes:
        position: the request's.
        captions: of the picture before and after; ``None`` only with `unscored`.
        unscored: why there are none.
        retry: with `unscored`: the reason may pass, so the next command asks again.
    """

    position: int
    captions: tuple[str, str] | None = None
    unscored: str | None = None
    retry: bool = False


@runtime_checkable
class Captioner(Protocol):
    """Writes a pair of captions, alike in structure, different in key words. It may carry ``identity``."""

    def caption(self, requests: Sequence[CaptionRequest]) -> Iterator[Captioned]:
        """Answer each request exactly once, in any order.

        Raises:
            OutOfMemory: the batch did not fit; it is halved.
        """
        ...

    def close(self) -> None:
        """Free the device; called once."""
        ...


def source_captions(*, checkpoint: str | None = None, device: str = "cpu", dtype: str | None = None) -> SourceCaptioner:
    """The source's own captions; needs no model.

    Args:
        checkpoint: not used.
        device: not used.
        dtype: not used.
    """
    del checkpoint, device, dtype
    return SourceCaptioner()


class SourceCaptioner:
    """See :func:`source_captions`. It has no second thought: the second attempt has no captions."""

    identity: Mapping[str, Any] = {}

    def caption(self, requests: Sequence[CaptionRequest]) -> Iterator[Captioned]:
        """One answer per request, in order."""
        for request in requests:
            first, second = request.source_captions
            if request.attempt:
                yield Captioned(request.position, unscored="the source has no other captions")
            elif not first or not second:
                yield Captioned(request.position, unscored="the source has no captions")
            else:
                yield Captioned(request.position, captions=(first, second))

    def close(self) -> None:
        """Nothing to free."""
