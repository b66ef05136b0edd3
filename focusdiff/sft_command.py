"""``focusdiff sft``: supervised fine-tuning, from a checkpoint or from nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from focusdiff.sft_recipe import SftRecipe

__all__ = ["sft_command"]


@click.command("sft", short_help="Supervised fine-tuning; run it again to resume.")
@click.option(
    "--recipe",
    default="shapes",
    show_default=True,
    metavar="NAME|FILE",
    help="A recipe that ships, or a TOML file.",
)
@click.option("--checkpoint", metavar="PATH|ID", help="Weights to start from; default the recipe's.")
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="DIR", help="The run's folder.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="Change a value of the recipe, for instance training.steps=100; may be repeated.",
)
@click.option("--device", default="auto", show_default=True, metavar="NAME", help="auto takes cuda, mps or cpu.")
@click.option("-v", "--verbose", is_flag=True, help="Show each line of progress, and where an error came from.")
def sft_command(**given: Any) -> None:
    """Train a policy on prompts and pictures: the next image token given the text.

    \b
      focusdiff sft --recipe shapes --out runs/janus-tiny          the embedded model, from nothing
      focusdiff sft --recipe my.toml --checkpoint DIR --out runs/sft
    """
    import logging

    from focusdiff.recipe_reading import read_recipe
    from focusdiff.sft_recipe import SftRecipe
    from focusdiff.sft_run import run_sft
    from paircomp.runtime.capabilities import parse_options
    from paircomp.runtime.machine import resolve_device

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    values = parse_options(given["settings"], where="--set")
    if given["checkpoint"]:
        values["policy.checkpoint"] = given["checkpoint"]
        values["start.model"] = ""
    recipe: SftRecipe = read_recipe(SftRecipe, given["recipe"], folder="sft", values=values)
    click.echo(str(run_sft(recipe, given["out"], device=resolve_device(given["device"]))))
