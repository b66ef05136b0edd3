"""The command line of the training side: ``focusdiff data``, ``sft``, ``rl``, ``ablate``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import ClassVar, NoReturn

import click

from paircomp import __version__
from paircomp.cli.groups import LazyCommands, run_group

__all__ = ["main", "run"]


class Commands(LazyCommands):
    """The commands, in the order in which a training uses them."""

    rooms: ClassVar[Mapping[str, str]] = {
        "data": "focusdiff.data.commands:data_group",
        "sft": "focusdiff.sft_command:sft_command",
        "rl": "focusdiff.rl_command:rl_command",
        "ablate": "focusdiff.ablation.command:ablate_command",
    }


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="focusdiff")
def focusdiff() -> None:
    """Train a text-to-image model to follow words finely (FocusDiff, arXiv 2506.05501).

    \b
      focusdiff sft --recipe shapes --out janus-tiny       the embedded model, from nothing
      focusdiff rl --recipe shapes --checkpoint janus-tiny/model --out janus-tiny-focusdiff
      focusdiff ablate                                     what each part of it does
    """


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run the command line and return its exit code."""
    return run_group(focusdiff, arguments, name="focusdiff")
