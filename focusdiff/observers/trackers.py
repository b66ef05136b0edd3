"""Numbers sent to trackers through accelerate: tensorboard, wandb, trackio.

Keys of services come from their own environment variables or login; nothing of them is read or written here.
"""

from __future__ import annotations

import json
import math
import secrets
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from focusdiff.observers.silent import SilentObserver
from paircomp.errors import RunError, UnavailableError
from paircomp.runtime.files import write_json
from paircomp.runtime.requirements import install_line, missing_imports

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker

    from focusdiff.observers.recipe import TrackerName

__all__ = ["Trackers"]

_TENSORBOARD, _WANDB, _TRACKIO = "tensorboard", "wandb", "trackio"


class Trackers(SilentObserver):
    """Sends the numbers of steps and evaluations.

    A run that is continued stays one run for the services too: they know it by an identity in its folder,
    ``trackers.json``. What they print goes to standard error, for standard output is the command's result.

    Args:
        names: of the trackers.
        project: what services file the run under.
        run: its folder; tensorboard writes to ``tensorboard`` in it, wandb to ``wandb``.

    Raises:
        UnavailableError: packages are missing; names all of them.
    """

    def __init__(self, names: Sequence[TrackerName], *, project: str, run: Path) -> None:
        if missing := missing_imports(names):
            raise UnavailableError(
                f"tracking.trackers {list(names)}", package=", ".join(missing), remedy=install_line(missing)
            )
        self._names = tuple(names)
        self._project = project
        self._run = run
        self._trackers: list[GeneralTracker] = []

    def on_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Send the numbers of a step, by the number of finished ones as evaluations are."""
        self.send(step + 1, metrics)

    def send(self, step: int, numbers: Mapping[str, float]) -> None:
        """Send numbers; what is not finite is left out, for there is none."""
        finite = {name: float(value) for name, value in numbers.items() if math.isfinite(value)}
        with redirect_stdout(sys.stderr):
            if not self._trackers:  # at the first number, so that a run that is refused leaves nothing behind
                self._start()
            for tracker in self._trackers:
                tracker.log(finite, step=step)

    def close(self) -> None:
        """Let services finish."""
        with redirect_stdout(sys.stderr):
            for tracker in self._trackers:
                if tracker.name == _TRACKIO:
                    import trackio

                    trackio.finish()  # the tracker's own leaves the run open, and it prints once more at the very end
                else:
                    tracker.finish()

    def _start(self) -> None:
        from accelerate import PartialState
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS

        PartialState()  # trackers ask which process this is; where processes were started, it is there already
        for name in self._names:
            tracker = LOGGER_TYPE_TO_CLASS[name](**self._asked(name))
            tracker.start()
            self._trackers.append(tracker)  # one at a time: where the next one fails, this one is closed

    def _asked(self, name: TrackerName) -> dict[str, Any]:
        if name == _TENSORBOARD:
            return {"run_name": _TENSORBOARD, "logging_dir": self._run}
        asked = {"run_name": self._project, "resume": "allow"}
        if name == _WANDB:
            return {**asked, "name": self._run.name, "id": self._identity(), "dir": str(self._run)}
        # trackio finds a run by its name alone, and folders of one name may be many
        return {**asked, "name": f"{self._run.name}-{self._identity()}"}

    def _identity(self) -> str:
        file = self._run / "trackers.json"
        if not file.exists():
            write_json(file, {"id": secrets.token_hex(4)})
        try:
            return str(json.loads(file.read_text(encoding="utf-8"))["id"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(file, f'expected {{"id": ...}}, not readable ({error}); next: delete it') from error
