"""An observer that hears everything and does nothing: what the others begin from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["SilentObserver"]


class SilentObserver:
    """Hears of everything; each observer says what of it concerns it."""

    def on_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """A step is done."""

    def on_samples(
        self, step: int, prompts: Sequence[str], pictures: Sequence[Image], rewards: Sequence[float]
    ) -> None:
        """The sampled pictures of a step."""

    def on_event(self, step: int, kind: str, message: str) -> None:
        """Something worth a line."""

    def on_checkpoint(self, step: int, folder: Path) -> None:
        """A checkpoint is whole on disk."""

    def close(self) -> None:
        """The run is over, or broke off."""
