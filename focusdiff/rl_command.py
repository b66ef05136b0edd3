"""``focusdiff rl``: reinforcement learning on pairs of prompts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from focusdiff.recipe import RLRecipe

__all__ = ["rl_command"]


@click.command("rl", short_help="GRPO and Pair-GRPO; run it again to resume.")
@click.option(
    "--recipe",
    default="shapes",
    show_default=True,
    metavar="NAME|FILE",
    help="A recipe that ships (shapes, janus-tiny-focusdiff, janus-pro-1b, janus-pro-7b, janus-pro-7b-official), "
    "or a TOML file.",
)
@click.option("--checkpoint", metavar="PATH|ID", help="The policy's weights; default the recipe's.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="The run's folder.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="Change a value of the recipe, for instance loop.seed=1; may be repeated.",
)
@click.option("--device", default="auto", show_default=True, metavar="NAME", help="auto takes cuda, mps or cpu.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Look for everything, do one small step, estimate memory and time of the real run; write nothing.",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Of --dry-run: how many will share the run.",
)
@click.option("-v", "--verbose", is_flag=True, help="Say every step, and where an error came from.")
def rl_command(**given: Any) -> None:
    """Train a policy by reinforcement learning: Pair-GRPO, GRPO and what lies between.

    \b
      focusdiff rl --checkpoint DIR --out runs/pair
      focusdiff rl --recipe janus-pro-7b --dry-run --processes 8
      focusdiff rl --checkpoint DIR --out runs/vanilla --set groups.grouping=prompt --set 'groups.probability=[[0, 0]]'
    """
    from rich.console import Console

    from focusdiff.launch import train
    from focusdiff.observers.building import build_observers
    from focusdiff.observers.lines import ProgressLines
    from focusdiff.observers.panel import LivePanel
    from focusdiff.recipe import RLRecipe
    from focusdiff.recipe_reading import read_recipe
    from paircomp.runtime.capabilities import parse_options
    from paircomp.runtime.machine import resolve_device
    from paircomp.runtime.shards import launched_shard

    values = parse_options(given["settings"], where="--set")
    if given["checkpoint"]:
        values["policy.checkpoint"] = given["checkpoint"]
    recipe: RLRecipe = read_recipe(RLRecipe, given["recipe"], folder="rl", values=values)
    device = resolve_device(given["device"])
    if given["dry_run"]:
        _dry_run(recipe, device, given["processes"])
        return
    if given["out"] is None:
        raise click.UsageError("Missing option '--out'.")
    launched = launched_shard(os.environ)
    first = launched is None or launched.shard.index == 0  # of several processes, one tells
    console, steps = Console(stderr=True), recipe.loop.steps
    live = console.is_terminal and not given["verbose"]
    lines = LivePanel(steps, console=console) if live else ProgressLines(steps, each=given["verbose"])
    observers = build_observers(recipe, given["out"], device=device, lines=lines) if first else []
    model = train(recipe, given["out"], device=device, observers=observers)
    if first:
        click.echo(str(model))


def _dry_run(recipe: RLRecipe, device: str, processes: int) -> None:
    from rich.console import Console

    from focusdiff.dry_run.rehearsal import rehearse
    from focusdiff.dry_run.showing import show_estimates, show_step
    from focusdiff.dry_run.sizes import sizes_of
    from paircomp.errors import ConfigError

    console = Console(highlight=False, soft_wrap=True)
    done = rehearse(recipe, device=device)
    show_step(console, recipe, done)
    missing = list(done.missing)
    sizes = sizes_of(recipe.policy.checkpoint) if recipe.policy.name == "janus" and recipe.policy.checkpoint else None
    if sizes is None:
        console.print("Memory and time are not estimated: the sizes of this model are not known here.\n")
    else:
        missing += show_estimates(console, recipe, sizes, done, device=device, processes=processes)
    if missing:
        raise ConfigError(missing, where="this recipe on this machine")
    console.print("Nothing is missing.")
