"""``paircomp doctor`` and ``fetch``: what can run here, and bringing what may not be shipped."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import click

from paircomp.cli.options import registry_of, verbose_option

__all__ = ["doctor_command", "fetch_command"]

_MODELS = ("torch", "transformers", "diffusers", "accelerate", "safetensors")
#: Import names of what each extra brings, those of the extras that it includes among them.
_EXTRAS = {
    "models": _MODELS,
    "diffusion": (*_MODELS, "sentencepiece", "google.protobuf", "bs4", "ftfy"),
    "api": ("openai",),
    "train": (*_MODELS, "peft", "matplotlib", "tensorboard", "trackio"),
    "data": ("pyarrow", "datasets"),
    "ray": ("ray",),
}


@click.command("doctor", short_help="What can run on this machine.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--plugin", "plugins", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
              help="Also look at this plugin file.")  # fmt: skip
@verbose_option
def doctor_command(plugins: tuple[Path, ...], *, as_json: bool, verbose: bool) -> None:
    """Say what this machine is, which parts of paircomp can run on it, and what would bring the others.

    torch is not imported: the answer comes from package metadata, the memory and nvidia-smi.
    """
    found = _examine(plugins)
    if as_json:
        click.echo(json.dumps(found))
        return
    from paircomp.cli.catalogue import print_table

    machine = found["machine"]
    gpus = ", ".join(f"{gpu['name']} ({gpu['memory'] / 2**30:.0f} GiB)" for gpu in machine["accelerators"])
    memory = "unknown" if machine["memory"] is None else f"{machine['memory'] / 2**30:.0f} GiB"
    rows = [
        ["machine", f"{machine['system']}, {machine['cores']} cores, {memory} memory, Python {machine['python']}"],
        ["accelerators", gpus or ("Apple Metal" if machine["apple"] else "none: models run on the CPU")],
        ["free disk here", f"{found['free_disk'] / 2**30:.0f} GiB"],
        ["versions", ", ".join(f"{name} {version}" for name, version in found["versions"].items())],
    ]
    rows += [[f"extra [{name}]", _said(name, missing)] for name, missing in found["extras"].items()]
    runs = found["models"]["run"]
    rows += [["models that run here", f"{', '.join(runs) or 'none'} ({len(runs)} of {found['models']['all']}; what the "
              "others lack: paircomp models)"]]  # fmt: skip
    rows += [[f"suite {name}", said] for name, said in found["suites"].items()]
    rows += [["plugin left out", said] for said in found["broken"]]
    print_table(["what", "found"], rows)


def _said(extra: str, missing: list[str]) -> str:
    if not missing:
        return "yes"
    return f"lacks {', '.join(missing)}; next: python -m pip install 'paircomp[{extra}]'"


def _examine(plugins: tuple[Path, ...]) -> dict[str, Any]:
    from paircomp.pipeline.readiness import runnable_models
    from paircomp.runtime.machine import package_versions, this_machine

    registry = registry_of(plugins)
    models = {"run": [spec.name for spec in runnable_models(registry)], "all": len(registry.models())}
    for factories in (registry.load_all("generator"), registry.load_all("judge")):
        list(factories)  # those that cannot be loaded join registry.broken
    return {
        "machine": this_machine().to_json(),
        "free_disk": shutil.disk_usage(Path.cwd()).free,
        "versions": package_versions(),
        "extras": {extra: [name for name in names if not _importable(name)]
                   for extra, names in _EXTRAS.items()},
        "models": models,
        "suites": _suites(registry),
        "broken": [str(broken) for broken in registry.broken],
    }  # fmt: skip


def _importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # the package around it is missing
        return False


def _suites(registry: Any) -> dict[str, str]:
    from paircomp.errors import PairCompError

    said = {}
    for name in registry.names("suite"):
        try:
            said[name] = f"{len(registry.suite(name).pairs)} pairs"
        except PairCompError as error:
            said[name] = str(error)
    return said


@click.command("fetch", short_help="Bring a suite that may not be shipped.")
@click.argument("suite")
@click.option("--url", metavar="URL", help="Fetch it from here instead, for instance a mirror.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@verbose_option
def fetch_command(suite: str, url: str | None, *, as_json: bool, verbose: bool) -> None:
    """Download SUITE into the cache, check its SHA-256 and print where it lies; run it again to resume.

    \b
      paircomp fetch paircomp
    """
    from paircomp.suites.fetching import fetch

    live = sys.stderr.isatty()

    def say(done: int, total: int | None) -> None:
        if live:
            click.echo(f"\r{suite}: {done:,} of {total or '?':,} bytes" if total else f"\r{suite}: {done:,} bytes",
                       nl=False, err=True)  # fmt: skip

    path = fetch(suite, url=url, progress=say)
    if live:
        click.echo("", err=True)
    click.echo(json.dumps({"suite": suite, "path": str(path)}) if as_json else str(path))
