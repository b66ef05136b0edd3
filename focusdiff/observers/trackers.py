"""Numbers sent to trackers through accelerate: tensorboard, wandb, trackio.

Keys of services come from their own environment variables or login; nothing of them is read or written here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from focusdiff.observers.silent import SilentObserver
from paircomp.errors import UnavailableError
from paircomp.runtime.requirements import install_line, missing_imports

if TYPE_CHECKING:
    from focusdiff.observers.recipe import TrackerName

__all__ = ["Trackers"]


class Trackers(SilentObserver):
    """Sends the numbers of steps and evaluations.

    Args:
        names: of the trackers.
        project: what services file the run under.
        run: its folder; tensorboard writes to ``tensorboard`` in it.

    Raises:
        UnavailableError: packages are missing; names all of them.
    """

    def __init__(self, names: Sequence[TrackerName], *, project: str, run: Path) -> None:
        if missing := missing_imports(names):
            raise UnavailableError(
                f"tracking.trackers {list(names)}", package=", ".join(missing), remedy=install_line(missing)
            )
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS

        self._trackers = []
        for name in names:
            kind = LOGGER_TYPE_TO_CLASS[name]
            if name == "tensorboard":
                self._trackers.append(kind("tensorboard", logging_dir=run))
            else:
                self._trackers.append(kind(project, name=run.name))
        self._started = False

    def on_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Send the numbers of a step, by the number of finished ones as evaluations are."""
        self.send(step + 1, metrics)

    def send(self, step: int, numbers: Mapping[str, float]) -> None:
        """Send numbers; what is not finite is left out, for there is none."""
        self._start()
        finite = {name: float(value) for name, value in numbers.items() if math.isfinite(value)}
        for tracker in self._trackers:
            tracker.log(finite, step=step)

    def close(self) -> None:
        """Let services finish."""
        for tracker in self._trackers if self._started else []:
            tracker.finish()

    def _start(self) -> None:
        """Begin at the first number, so that a run that is refused leaves nothing behind."""
        if not self._started:
            for tracker in self._trackers:
                tracker.start()
            self._started = True
