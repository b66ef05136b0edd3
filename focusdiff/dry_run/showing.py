"""What a dry run found, for a terminal."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from focusdiff.dry_run.estimates import StepMembers, least_seconds, measure_rates, memory_needed
from paircomp.runtime.machine import this_machine

if TYPE_CHECKING:
    from rich.console import Console

    from focusdiff.dry_run.rehearsal import Rehearsal
    from focusdiff.dry_run.sizes import ModelSizes
    from focusdiff.recipe import RLRecipe

__all__ = ["device_memory", "show_estimates", "show_step"]

_PARTS = ("probe", "rollout", "encode", "decode", "reference", "reward", "update")


def device_memory(device: str) -> int | None:
    """Bytes that a device has; ``None`` where the system does not tell."""
    machine = this_machine()
    if device.startswith("cuda") and machine.accelerators:
        return min(accelerator.memory for accelerator in machine.accelerators)
    return machine.memory


def show_step(console: Console, recipe: RLRecipe, done: Rehearsal) -> None:
    """Say how the small step went."""
    instead = "".join(f"; {name}: {by} stood in" for name, by in done.stood_in.items())
    console.print(f"[bold]One small step[/] (1 pair, {int(done.numbers['members/sampled'])} samples{instead})")
    spent = {name: done.numbers.get(f"seconds/{name}", 0.0) for name in _PARTS}
    console.print("  " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in spent.items() if seconds))
    told = ("loss", "gradient_norm", "rollout_difference")
    console.print("  " + ", ".join(f"{name} {done.numbers[name]:.3g}" for name in told if name in done.numbers))
    console.print(f"  recipe: {recipe.loop.steps} steps, {StepMembers.of(recipe).all} pictures each\n")


def show_estimates(
    console: Console, recipe: RLRecipe, sizes: ModelSizes, done: Rehearsal, *, device: str, processes: int
) -> list[str]:
    """Show memory and time of the real run.

    Returns:
        what stands in its way, in words.
    """
    needed = memory_needed(recipe, sizes, device=device, processes=processes)
    _table(console, f"Memory of each of {processes}" if processes > 1 else "Memory", needed, _size)
    rates = measure_rates(device, recipe.loop.precision)
    seconds = dict(least_seconds(recipe, sizes, rates, device=device, processes=processes))
    if (each := done.reward_seconds) is not None:
        seconds["reward, as measured"] = each * StepMembers.of(recipe).all / processes
    _table(console, "A step, at least", seconds, _time)
    whole = math.fsum(seconds.values()) * recipe.loop.steps
    console.print(
        f"  {recipe.loop.steps} steps: at least {_time(whole)}, at {rates.products / 1e12:.3g} T products a second "
        f"({recipe.loop.precision}) and {rates.bandwidth / 1e9:.3g} GB/s, both measured here on {device}; "
        "a real step often takes two to four times as long.\n"
    )
    there, total = device_memory(device), math.fsum(needed.values())
    if there is None or total <= there:
        return []
    return [f"memory: about {_size(total)} on {device}, which has {_size(there)}; next: {_remedy(recipe, needed)}"]


def _remedy(recipe: RLRecipe, needed: Mapping[str, float]) -> str:
    """What to change first, by what takes most."""
    ways = {
        "keys and values of the rollout": "a smaller loop.rollout_batch",
        "weights gathered for the rollout": "--set policy.dtype=bfloat16",
        "kept for the backward pass": "a smaller loop.micro_batch" if recipe.loop.gradient_checkpointing
        else "loop.gradient_checkpointing=true, or a smaller loop.micro_batch",
    }  # fmt: skip
    most = max(needed, key=lambda name: needed[name])
    fixed = "--set lora.rank=16, --set policy.dtype=bfloat16, or more processes with loop.sharding=full"
    return ways.get(most, fixed)


def _table(console: Console, title: str, rows: Mapping[str, float], shown: Callable[[float], str]) -> None:
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, show_header=False)
    table.add_column(min_width=32)
    table.add_column(justify="right")
    for name, value in rows.items():
        table.add_row(f"  {name}", shown(value))
    table.add_row("  [bold]together[/]", f"[bold]{shown(math.fsum(rows.values()))}[/]")
    console.print(table)
    console.print()


def _size(count: float) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**29 else f"{count / 2**20:.0f} MiB"


def _time(seconds: float) -> str:
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:,.2f} s"
