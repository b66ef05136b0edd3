"""The command line. Commands live one room each; this module finds them by name and turns errors into exit codes.

Exit codes: 0 done, 1 an error in one line, 2 usage, 3 a gate that failed, 130 interrupted with the run resumable.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from typing import Any, NoReturn

import click

from paircomp import __version__
from paircomp.errors import PairCompError

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


class Commands(click.Group):
    """Finds built-in and plugin commands by name and shows our errors as one line."""

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
        if cmd_name in _COMMANDS:
            module, _, attribute = _COMMANDS[cmd_name].partition(":")
            command: click.Command = getattr(importlib.import_module(module), attribute)
            return command
        if cmd_name in _plugin_commands():
            from paircomp.plugins import Registry

            return Registry().command(cmd_name)
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest command where there is none of that name."""
        if args and self.get_command(ctx, args[0]) is None:
            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"No such command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)


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
    """Run the command line and exit."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run the command line and return its exit code."""
    try:
        result: Any = cli.main(arguments, prog_name="paircomp", standalone_mode=False)
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
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted. What was finished is kept; the same command continues from there.", err=True)
        return 130
    except BrokenPipeError:  # `paircomp models | head`
        sys.stderr.close()
        return 0
