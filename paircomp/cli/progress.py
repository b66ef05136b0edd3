"""Live progress on a terminal, plain lines elsewhere; always on stderr, so that stdout stays for results."""

from __future__ import annotations

import time

import click

from paircomp.pipeline.progress import Progress, StepCount

__all__ = ["LiveProgress", "PlainProgress", "progress_for"]

_LINE_SECONDS = 10.0


def progress_for(*, quiet: bool = False) -> Progress:
    """Live where stderr is a terminal; plain lines otherwise; nothing but notices when `quiet`."""
    import sys

    if not quiet and sys.stderr.isatty():
        return LiveProgress()
    return PlainProgress(quiet=quiet)


def _said(count: StepCount) -> str:
    parts = [f"{count.cached} cached", f"{count.new} new"]
    if count.unscored:
        parts.append(f"{count.unscored} unscored")
    if count.dropped:
        parts.append(f"{count.dropped} torn or lost, done again")
    if count.usd:
        parts.append(f"{count.usd:.2f} USD")
    return ", ".join(parts)


class PlainProgress:
    """A line at the start and the end of a step, and every ten seconds between them; two steps may go on at once."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._started: dict[str, float] = {}
        self._last: dict[str, float] = {}
        self._what: dict[str, str] = {}

    def start(self, count: StepCount, *, what: str) -> None:
        """Say what is to be done."""
        self._started[count.step] = self._last[count.step] = time.monotonic()
        self._what[count.step] = what
        if not self._quiet:
            click.echo(f"{count.step}: {count.total} {what}, {count.cached} cached", err=True)

    def advance(self, count: StepCount) -> None:
        """Say how far it is, now and then."""
        now = time.monotonic()
        if not self._quiet and now - self._last[count.step] >= _LINE_SECONDS:
            self._last[count.step] = now
            rate = count.new / max(now - self._started[count.step], 1e-9)
            left = (count.total - count.cached - count.new) / max(rate, 1e-9)
            done, what = f"{count.cached + count.new}/{count.total}", self._what[count.step]
            click.echo(f"{count.step}: {done} {what}, {rate:.1f}/s, {left:.0f} s left", err=True)

    def finish(self, count: StepCount) -> None:
        """Say what was done."""
        if not self._quiet:
            click.echo(f"{count.step}: {_said(count)}, {count.seconds:.1f} s", err=True)

    def say(self, message: str) -> None:
        """Notices are never quiet."""
        click.echo(f"Note: {message}", err=True)


class LiveProgress:
    """A bar for each step that goes on, with rate, time left and counts."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self._console = Console(stderr=True, highlight=False)
        self._bars = Bars(
            TextColumn("{task.description:>9}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"), TimeRemainingColumn(), TextColumn("[dim]{task.fields[said]}"),
            console=self._console, transient=True,
        )  # fmt: skip
        self._tasks: dict[str, TaskID] = {}
        self._started: dict[str, float] = {}

    def start(self, count: StepCount, *, what: str) -> None:
        """Show the bar."""
        self._bars.start()
        self._started[count.step] = time.monotonic()
        task = self._bars.add_task(count.step, total=count.total, completed=count.cached, rate="", said=what)
        self._tasks[count.step] = task

    def advance(self, count: StepCount) -> None:
        """Move the bar."""
        if count.step in self._tasks:
            rate = count.new / max(time.monotonic() - self._started[count.step], 1e-9)
            self._bars.update(self._tasks[count.step], total=count.total, completed=count.cached + count.new,
                              rate=f"{rate:.1f}/s", said=_said(count))  # fmt: skip

    def finish(self, count: StepCount) -> None:
        """Replace the bar by one line."""
        if count.step in self._tasks:
            self._bars.remove_task(self._tasks.pop(count.step))
        if not self._tasks:
            self._bars.stop()
        self._console.print(f"{count.step:>9}  {_said(count)}, {count.seconds:.1f} s", style="dim")

    def say(self, message: str) -> None:
        """Print above the bar."""
        self._console.print(f"Note: {message}", style="yellow", markup=False)
