"""``paircomp adapter``: for those who write generators and judges."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from paircomp.cli.options import registry_of, verbose_option

if TYPE_CHECKING:
    from paircomp.testing import Check

__all__ = ["adapter_group"]


@click.group("adapter", short_help="For those who write adapters: new, check.")
def adapter_group() -> None:
    """Tools for those who write generators and judges."""


@adapter_group.command("new", short_help="Write an installable package with a generator to fill in.")
@click.argument("name")
@click.option("--into", type=click.Path(path_type=Path), metavar="DIR",
              help="The folder to write.  [default: paircomp-NAME]")  # fmt: skip
def new_command(name: str, into: Path | None) -> None:
    """Write a package of your own that adds generator and model NAME: code, contract test, README.

    It draws stripes until you put your model in, and keeps the contract from the start.

    \b
      paircomp adapter new my-model
      python -m pip install -e paircomp-my-model
      paircomp adapter check my-model
    """
    from paircomp.cli.adapter_package import write_package
    from paircomp.errors import ConfigError

    registry = registry_of(())
    if name in {*registry.names("generator"), *registry.names("model")}:
        raise ConfigError([f"{name!r} is taken: two packages cannot claim one name; next: choose another"],
                          where="adapter name")  # fmt: skip
    folder = into or Path(f"paircomp-{name}")
    for file in write_package(name, folder):
        click.echo(str(file))
    click.echo(f"next: python -m pip install -e {folder}, then: paircomp adapter check {name}", err=True)


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
@click.option("--json", "as_json", is_flag=True, help="Print the checks as one JSON object.")
@verbose_option
def check_command(name: str, **given: Any) -> None:
    """Check that generator or judge NAME keeps its contract.

    Each request answered once, batches, order, seeds, options, awkward prompts, abandoned batches, close.

    \b
      paircomp adapter check sketch
      paircomp adapter check my-generator --plugin my_adapter.py
    """
    from paircomp.errors import AdapterError, UnknownNameError

    if len(given["prompts"]) == 1:
        raise click.UsageError("--prompt: expected at least two, got one.")
    registry = registry_of(given["plugins"])
    known = {*registry.names("generator"), *registry.names("judge")}
    if given["kind"] is None and name not in known:
        raise UnknownNameError("generator or judge", name, known)
    kind = given["kind"] or ("judge" if name not in registry.names("generator") else "generator")
    factory: Any = registry.generator(name) if kind == "generator" else registry.judge(name)
    done = []
    for check in _checks(factory, f"{kind} {name!r}", given, judge=kind == "judge"):
        done.append(check)
        if not given["as_json"]:
            click.echo(str(check))
    if given["as_json"]:
        click.echo(json.dumps({"kind": kind, "name": name, "checks": [dataclasses.asdict(check) for check in done]}))
    failed = sum(check.failed for check in done)
    if failed:
        raise AdapterError(f"{kind} {name!r} breaks its contract in {failed} of the checks above")


def _checks(factory: Any, who: str, given: Mapping[str, Any], *, judge: bool) -> Iterator[Check]:
    from paircomp.runtime.capabilities import build, check_options, parse_options
    from paircomp.runtime.machine import resolve_device
    from paircomp.testing import PROMPTS, check_factory, check_generator, check_judge

    options = parse_options(given["options"], where="option -o")
    check_options(factory, options, where=f"option -o of {who}")
    device = resolve_device(given["device"])

    def made() -> Any:
        arguments = {"checkpoint": given["checkpoint"], "device": device, "dtype": given["dtype"], **options}
        return build(factory, who, "judge" if judge else "generate", **arguments)

    prompts = given["prompts"] or PROMPTS
    yield from check_factory(factory)
    if judge:
        yield from check_judge(made, prompts=prompts)
    else:
        yield from check_generator(made, prompts=prompts, exact=given["exact"])
