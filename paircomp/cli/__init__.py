"""The command line. Commands live one room each; this module finds them by name and turns errors into exit codes.

Exit codes: 0 done, 1 an error in one line, 2 usage, 3 a gate that failed, 130 interrupted and 143
terminated, with the run resumable.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Mapping
from functools import partial
from typing import ClassVar, NoReturn

import click

from paircomp import __version__
from paircomp.cli.groups import LazyCommands, Terminated, run_group

__all__ = ["main"]

# Imported only when asked for: `paircomp --help` stays instant whatever a command needs.
_COMMANDS = {
    "eval": "paircomp.cli.steps:evaluate_command",
    "generate": "paircomp.cli.steps:generate_command",
    "judge": "paircomp.cli.steps:judge_command",
    "report": "paircomp.cli.reporting:report_command",
    "calibrate": "paircomp.cli.calibrating:calibrate_command",
    "compare": "paircomp.cli.comparing:compare_command",
    "models": "paircomp.cli.catalogue:models_command",
    "judges": "paircomp.cli.catalogue:judges_command",
    "suites": "paircomp.cli.catalogue:suites_command",
    "fetch": "paircomp.cli.machine:fetch_command",
    "doctor": "paircomp.cli.machine:doctor_command",
    "adapter": "paircomp.cli.adapter:adapter_group",
}


class Commands(LazyCommands):
    """Finds built-in and plugin commands by name."""

    rooms: ClassVar[Mapping[str, str]] = _COMMANDS

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Built-in commands in the order of use, then those of plugins; broken ones are named on stderr."""
        from paircomp.plugins import Registry

        registry = Registry()
        found = registry.commands(built_in=_COMMANDS)
        for broken in registry.broken:
            click.echo(f"Warning: {broken}", err=True)
        return [*_COMMANDS, *found]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in _COMMANDS and cmd_name in _plugin_commands():
            from paircomp.plugins import Registry

            return Registry().command(cmd_name)
        return super().get_command(ctx, cmd_name)


def _plugin_commands() -> list[str]:
    from importlib.metadata import entry_points

    return sorted(point.name for point in entry_points(group="paircomp.commands"))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="paircomp")
def cli() -> None:
    """How finely does a text-to-image model follow words?

    \b
      paircomp eval --model sketch        evaluate an embedded model on the embedded suite
      paircomp models                     what can be evaluated
      paircomp doctor                     what can run on this machine
    """


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit; where it is asked to end (SIGTERM), it ends as at Ctrl-C, and tidies up."""
    in_main_thread = threading.current_thread() is threading.main_thread()  # signals reach no other
    if in_main_thread and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, partial(_end, os.getpid()))
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def _end(asked: int, number: int, frame: object) -> None:
    del frame
    if os.getpid() == asked:
        raise Terminated
    signal.signal(number, signal.SIG_DFL)  # a child that was forked off ends as if it had never heard of this
    os.kill(os.getpid(), number)


def run(arguments: list[str]) -> int:
    """Run the command line and return its exit code."""
    return run_group(cli, arguments, name="paircomp")
