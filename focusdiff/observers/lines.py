"""Plain lines of progress on stderr."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import click

from focusdiff.observers.silent import SilentObserver

__all__ = ["ProgressLines"]

_SECONDS = 10.0  # between two lines


class ProgressLines(SilentObserver):
    """A line every ten seconds and for the last step; events and evaluations at once.

    Args:
        steps: of the whole run.
        each: a line for every step.
    """

    def __init__(self, steps: int, *, each: bool = False) -> None:
        self._steps = steps
        self._pause = 0.0 if each else _SECONDS
        self._said = 0.0
        self._began = time.monotonic()
        self._done = 0

    def on_step(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Say how far it is."""
        self._done += 1
        now, done = time.monotonic(), step + 1
        if now - self._said < self._pause and done < self._steps:
            return
        self._said = now
        left = (self._steps - done) * (now - self._began) / self._done
        reward = f"{metrics['reward']:.3f}" if "reward" in metrics else "unscored"
        click.echo(f"rl: step {done} of {self._steps}, reward {reward}, rate {metrics['learning_rate']:.2g}, "
                   f"{left:.0f} s left", err=True)  # fmt: skip

    def on_event(self, step: int, kind: str, message: str) -> None:
        """Say it."""
        click.echo(f"rl: step {step}, {kind}: {message}", err=True)

    def on_evaluation(self, step: int, numbers: Mapping[str, float]) -> None:
        """Say what the harness found."""
        said = ", ".join(f"{name.removeprefix('evaluation/')} {value:.3f}" for name, value in numbers.items())
        click.echo(f"rl: evaluated after step {step}: {said}", err=True)
