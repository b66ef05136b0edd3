"""docs/commands.md is what the commands say of themselves; PAIRCOMP_UPDATE_GOLDEN=1 writes it anew."""

import os
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import click
import pytest

from focusdiff.commands import focusdiff
from paircomp.cli import cli

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"
HEAD = """# Commands

What each command says of itself with `--help`: [`paircomp`](#paircomp) evaluates, [`focusdiff`](#focusdiff) makes
training data and trains. Exit codes: 0 done, 1 an error in one line, 2 usage, 3 a gate that
failed, 130 interrupted and 143 terminated, with the run resumable. Results go to stdout, progress
and messages to stderr; `--json` prints one object and nothing else on stdout.

Completion of commands, options and names in the shell: `eval "$(_PAIRCOMP_COMPLETE=bash_source paircomp)"` in
`~/.bashrc` (`zsh_source` and `fish_source` likewise; `_FOCUSDIFF_COMPLETE` for `focusdiff`).
"""
PROGRAMS = {"paircomp": cli, "focusdiff": focusdiff}


def helps(command: click.Command, name: str, parent: click.Context | None) -> Iterator[tuple[str, str]]:
    """The command's path and help, then those below it."""
    # As the command line names them; click keeps the first help option it makes, so another choice would depend on
    # which tests ran before.
    names = ["-h", "--help"]
    context = click.Context(
        command, info_name=name, parent=parent, terminal_width=100, max_content_width=100, help_option_names=names
    )
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None, below
            yield from helps(found, below, context)


def page() -> str:
    told = [each for name, program in PROGRAMS.items() for each in helps(program, name, None)]
    return "\n".join([HEAD, *(f"## {path}\n\n```text\n{text.rstrip()}\n```\n" for path, text in told)])


def test_every_command_is_documented() -> None:
    if os.environ.get("PAIRCOMP_UPDATE_GOLDEN"):
        PAGE.write_text(page(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page()
    assert "\\b" not in page()  # an escape that click did not get to see; the paragraph would be wrapped


def test_every_program_that_is_installed_is_on_the_page() -> None:
    installed = {point.name for point in distribution("paircomp").entry_points.select(group="console_scripts")}

    assert installed == set(PROGRAMS)


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_option_says_what_it_does(program: str) -> None:
    def options(command: click.Command) -> Iterator[str]:
        context = click.Context(command)
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.help:
                yield f"{command.name} {parameter.opts[0]}"
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                assert found is not None
                yield from options(found)

    assert list(options(PROGRAMS[program])) == []
