"""``paircomp adapter``: for those who write generators and judges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from paircomp.cli.options import registry_of

__all__ = ["adapter_group"]


@click.group("adapter", short_help="For those who write adapters: check.")
def adapter_group() -> None:
    """Tools for those who write generators and judges."""


@adapter_group.command("check", short_help="Hold a generator or judge against its contract.")
@click.argument("name")
@click.option("--kind", type=click.Choice(["generator", "judge"]), help="Where both exist under that name.")
@click.option("--checkpoint", metavar="PATH|ID", help="Weights to load.")
@click.option("-o", "--option", "options", multiple=True, metavar="KEY=VALUE", help="Option of the factory.")
@click.option("--prompt", "prompts", multiple=True, metavar="TEXT", help="Ask for these instead; at least two.")
@click.option("--device", default="auto", show_default=True, metavar="NAME", help="auto takes cuda, mps or cpu.")
@click.option("--dtype", metavar="NAME", help="Number format of the weights.")
@click.option("--exact", is_flag=True, help="Demand identical pixels across batch sizes.")
@click.option("--plugin", "plugins", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
              help="A Python file that defines it.")  # fmt: skip
def check_command(name: str, **given: Any) -> None:
    """Check that generator or judge NAME keeps its contract: each request answered once, batches, order, seeds, close.

    \b
      paircomp adapter check sketch
      paircomp adapter check my-generator --plugin my_adapter.py
    """
    from paircomp.errors import AdapterError
    from paircomp.runtime.capabilities import check_options, parse_options
    from paircomp.runtime.machine import resolve_device
    from paircomp.testing import PROMPTS, check_generator, check_judge

    registry = registry_of(given["plugins"])
    kind = given["kind"] or ("judge" if name not in registry.names("generator") else "generator")
    factory: Any = registry.generator(name) if kind == "generator" else registry.judge(name)
    options = parse_options(given["options"], where="option -o")
    check_options(factory, options, where=f"option -o of {kind} {name!r}")
    device = resolve_device(given["device"])

    def build() -> Any:
        return factory(checkpoint=given["checkpoint"], device=device, dtype=given["dtype"], **options)

    prompts = given["prompts"] or PROMPTS
    checks = check_generator(build, prompts=prompts, exact=given["exact"]) if kind == "generator" \
        else check_judge(build, prompts=prompts)  # fmt: skip
    failed = 0
    for check in checks:
        click.echo(str(check))
        failed += check.passed is False
    if failed:
        raise AdapterError(f"{kind} {name!r} breaks its contract in {failed} of the checks above")
