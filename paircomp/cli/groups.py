"""What every command line of the project shares: commands imported when asked for, and errors turned into exit codes.

Exit codes: 0 done, 1 an error in one line, 2 usage, 3 a gate that failed, 130 interrupted
and 143 terminated, with the run resumable.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Mapping
from typing import Any, ClassVar

import click

from paircomp.errors import PairCompError

__all__ = ["LazyCommands", "Terminated", "run_group"]


class Terminated(KeyboardInterrupt):
    """The process was asked to end: by a scheduler, a container, or ``kill``."""


class LazyCommands(click.Group):
    """Finds commands by name in rooms that are imported when asked for, so that ``--help`` stays instant.

    Attributes:
        rooms: ``module:attribute`` of each command, in the order of use.
    """

    rooms: ClassVar[Mapping[str, str]] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, in the order of use."""
        return list(self.rooms)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in self.rooms:
            return None
        module, _, attribute = self.rooms[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest command where there is none of that name."""
        if args and self.get_command(ctx, args[0]) is None:
            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"No such command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)


def run_group(group: click.Group, arguments: list[str], *, name: str) -> int:
    """Run a command line and return its exit code."""
    try:
        result: Any = group.main(arguments, prog_name=name, standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except PairCompError as error:
        if "-v" in arguments or "--verbose" in arguments:
            import traceback

            traceback.print_exception(error)
        click.echo(f"Error: {error}", err=True)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort) as stop:
        click.echo("Interrupted. What was finished is kept; the same command continues from there.", err=True)
        return 143 if isinstance(stop.__cause__ or stop, Terminated) else 130
    except BrokenPipeError:  # `paircomp models | head`
        sys.stderr.close()
        return 0
