"""A live panel on a terminal: how far, how good, what it takes, and what happened last."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING

from focusdiff.observers.silent import SilentObserver

if TYPE_CHECKING:
    from rich.console import Console
    from rich.panel import Panel

__all__ = ["LivePanel"]

_EVENTS = 4


class LivePanel(SilentObserver):
    """Redraws itself after each step.

    Args:
        steps: of the whole run.
        console: a terminal.
    """

    def __init__(self, steps: int, *, console: Console) -> None:
        from rich.live import Live

        self._steps = steps
        self._events: deque[str] = deque(maxlen=_EVENTS)
        self._began = time.monotonic()
        self._done = 0
        self._live = Live(console=console, auto_refresh=False)

    def on_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Show the step."""
        self._done += 1
        if self._done == 1:
            self._live.start()
        self._live.update(self.drawn(step, metrics), refresh=True)

    def on_event(self, step: int, kind: str, message: str) -> None:
        """Show it with the next step."""
        self._events.append(f"step {step}, {kind}: {message}")

    def on_evaluation(self, step: int, numbers: Mapping[str, float]) -> None:
        """Show what the harness found with the next step."""
        said = ", ".join(f"{name.removeprefix('evaluation/')} {value:.3f}" for name, value in numbers.items())
        self._events.append(f"step {step}, evaluated: {said}")

    def close(self) -> None:
        """Leave the last state on the terminal."""
        self._live.stop()

    def drawn(self, step: int, metrics: Mapping[str, float]) -> Panel:
        """The panel after a step."""
        from rich.console import Group
        from rich.panel import Panel
        from rich.table import Table
        from rich.text import Text

        left = (self._steps - step - 1) * (time.monotonic() - self._began) / max(1, self._done)
        table = Table.grid(padding=(0, 3))
        table.add_row("[bold]reward", f"{metrics['reward']:.3f}" if "reward" in metrics else "unscored",
                      "[bold]learning rate", f"{metrics['learning_rate']:.2g}")  # fmt: skip
        subtasks = _part(metrics, "reward/")
        seconds = _part(metrics, "seconds/")
        for place in range(max(len(subtasks), len(seconds))):
            one = subtasks[place] if place < len(subtasks) else ("", "")
            other = seconds[place] if place < len(seconds) else ("", "")
            table.add_row(f"  {one[0]}", one[1], f"  {other[0]}", other[1] and f"{other[1]} s")
        lines = [Text(event, style="dim", overflow="ellipsis", no_wrap=True) for event in self._events]
        title = f"step {step + 1} of {self._steps}, {left:.0f} s left"
        return Panel(Group(table, *lines), title=title, title_align="left", border_style="dim")


def _part(metrics: Mapping[str, float], start: str) -> list[tuple[str, str]]:
    """Names after `start` with their values as text."""
    return [(name.removeprefix(start).replace("_", " "), f"{value:.3f}")
            for name, value in sorted(metrics.items()) if name.startswith(start)]  # fmt: skip
