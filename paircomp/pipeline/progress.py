"""How a step tells what it does: a small protocol that the command line, notebooks and tests fill as they like."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from paircomp.run_store import ImageIndex

__all__ = ["Progress", "Silent", "StepCount"]


@dataclass
class StepCount:
    """What a step did.

    Attributes:
        step: ``generate``, ``judge`` or ``import``.
        total: items that the selection asks for.
        cached: items that an earlier command had already settled.
        new: items settled now.
        unscored: items among `new` without a result.
        dropped: torn or damaged records found on reading and done again.
        seconds: wall time of this step.
        usd: what a paid service charged for the items settled now, in US dollars, where prices are known.
        images: the images as a generate step left them, so that the next step need not read them again.
    """

    step: str
    total: int
    cached: int = 0
    new: int = 0
    unscored: int = 0
    dropped: int = 0
    seconds: float = 0.0
    usd: float = 0.0
    images: ImageIndex | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Everything but the images."""
        names = ("step", "total", "cached", "new", "unscored", "dropped", "seconds", "usd")
        return {name: getattr(self, name) for name in names}


class Progress(Protocol):
    """Hears of a step's progress, one call at a time; two steps may go on at once, each with a `count` of its own."""

    def start(self, count: StepCount, *, what: str) -> None:
        """A step begins; `count` is kept up to date until :meth:`finish`."""
        ...

    def advance(self, count: StepCount) -> None:
        """An item was settled."""
        ...

    def finish(self, count: StepCount) -> None:
        """The step ended, also when it ended early."""
        ...

    def say(self, message: str) -> None:
        """A notice for the user."""
        ...


class Silent:
    """Progress that nobody watches."""

    def start(self, count: StepCount, *, what: str) -> None:
        """Hear nothing."""

    def advance(self, count: StepCount) -> None:
        """Hear nothing."""

    def finish(self, count: StepCount) -> None:
        """Hear nothing."""

    def say(self, message: str) -> None:
        """Hear nothing."""
