"""``paircomp models``, ``judges`` and ``suites``: what there is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from paircomp.cli.options import registry_of, verbose_option

if TYPE_CHECKING:
    from paircomp.runtime.machine import Machine
    from paircomp.types import ModelSpec

__all__ = ["judges_command", "models_command", "suites_command"]

_plugin = click.option("--plugin", "plugins", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
                       help="A Python file with more of them.")  # fmt: skip
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


_FILE_WIDTH = 200
_LONGEST_WORD = 16  # longer ones, addresses and paths, may be cut
_ROOMY_WIDTH = 130


def print_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], *, only_where_roomy: Sequence[str] = ()
) -> None:
    """A borderless table that folds long cells to the terminal's width; whole lines where stdout is no terminal.

    Args:
        headings: of the columns; the first holds names.
        rows: their cells.
        only_where_roomy: headings of columns that a narrow terminal does without.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if not console.is_terminal:
        widest = sum(max(map(len, column)) + 4 for column in zip(headings, *rows, strict=True))
        console = Console(highlight=False, width=max(_FILE_WIDTH, widest))
    if console.width < _ROOMY_WIDTH:
        kept = [number for number, heading in enumerate(headings) if heading not in only_where_roomy]
        headings, rows = [headings[number] for number in kept], [[row[number] for number in kept] for row in rows]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, heading in enumerate(headings):
        cells = [row[number] for row in rows]
        # A name is there to be copied: it is never folded. Other cells fold between words.
        pieces = [word for cell in cells for word in cell.split() if len(word) <= _LONGEST_WORD] if number else cells
        table.add_column(heading, overflow="fold", min_width=max(map(len, pieces), default=0))
    for row in rows:
        table.add_row(*map(_plain, row))
    console.print(table)


def _plain(text: str) -> Any:
    from rich.text import Text

    return Text(text)


@click.command("models", short_help="The models that can be evaluated.")
@_json
@_plugin
@verbose_option
def models_command(plugins: tuple[Path, ...], *, as_json: bool, verbose: bool) -> None:
    """List the catalogue: what draws each model, its weights, and what this machine lacks to run it; then all adapters.

    The hub is not asked: weights that must be fetched first are named with their size.
    """
    from paircomp.runtime.machine import this_machine

    registry = registry_of(plugins)
    rows = [_model_row(spec, this_machine()) for spec in registry.models().values()]
    if as_json:
        click.echo(json.dumps({"models": rows, "adapters": registry.names("generator")}))
        return
    shown = [[row["name"], row["adapter"], _checkpoint(row), _size(row["resolution"]), row["licence"],
              _runs(row["missing"], row["weights"])] for row in rows]  # fmt: skip
    print_table(["model", "adapter", "checkpoint", "pixels", "licence", "runs here"], shown,
                only_where_roomy=("checkpoint", "pixels", "licence"))  # fmt: skip
    # Beside the table, so that a list in a pipe keeps one line for each model.
    click.echo(f"\nadapters, for --adapter NAME: {', '.join(registry.names('generator'))}", err=True)


def _model_row(spec: ModelSpec, machine: Machine) -> dict[str, Any]:
    from paircomp.runtime.requirements import missing_for, weights_memory, weights_state

    names = ("name", "family", "adapter", "checkpoint", "revision", "recipe", "dtype", "licence", "gated", "published",
             "retired", "parameters", "resolution", "suite", "trained_with_judge", "description", "source")  # fmt: skip
    said = {name: getattr(spec, name) for name in names}
    return {**said, "recipe": dict(spec.recipe), "memory": weights_memory(spec), "weights": weights_state(spec),
            "missing": missing_for(spec, machine)}  # fmt: skip


def _checkpoint(row: dict[str, Any]) -> str:
    if not row["published"]:
        return "never published"
    if row["retired"]:
        return f"{row['checkpoint']} (retired {row['retired']})"
    return f"{row['checkpoint'] or 'no weights'}" + (" (gated)" if row["gated"] else "")


def _size(resolution: tuple[int, int] | None) -> str:
    return "-" if resolution is None else f"{resolution[0]}x{resolution[1]}"


def _runs(missing: Sequence[str], weights: str) -> str:
    if missing:
        return f"needs {'; '.join(fault.split(' (')[0] for fault in missing)}"  # --json has what would bring it
    return f"yes, {weights}" if weights.endswith("to fetch") else "yes"


def _needs(missing: Sequence[str]) -> str:
    return f"needs {', '.join(missing)}" if missing else "yes"


@click.command("judges", short_help="The judges that can score images.")
@_json
@_plugin
@verbose_option
def judges_command(plugins: tuple[Path, ...], *, as_json: bool, verbose: bool) -> None:
    """List the judges, what each is, and whether this machine has what it needs."""
    from paircomp.runtime.capabilities import missing_packages, summary_of

    registry = registry_of(plugins)
    rows: list[dict[str, Any]] = [
        {"name": name, "description": summary_of(factory), "missing": list(missing_packages(factory))}
        for name, factory in registry.load_all("judge")
    ]
    if as_json:
        click.echo(json.dumps({"judges": rows}))
        return
    print_table(["judge", "what it is", "runs here"],
                [[row["name"], row["description"], _needs(row["missing"])] for row in rows])  # fmt: skip


@click.command("suites", short_help="The suites of prompt pairs.")
@_json
@_plugin
@verbose_option
def suites_command(plugins: tuple[Path, ...], *, as_json: bool, verbose: bool) -> None:
    """List the suites, their size and default judge; a suite that must be fetched first says how."""
    from paircomp.errors import PairCompError

    registry = registry_of(plugins)
    rows: list[dict[str, Any]] = []
    for name in registry.names("suite"):
        try:
            suite = registry.suite(name)
        except PairCompError as error:
            rows.append({"name": name, "available": False, "reason": str(error)})
        else:
            rows.append({"name": name, "available": True, "pairs": len(suite.pairs), "samples": suite.samples,
                         "subtasks": list(suite.subtasks), "judge": suite.default_judge,
                         "digest": suite.digest, "source": suite.source})  # fmt: skip
    if as_json:
        click.echo(json.dumps({"suites": rows}))
        return
    shown = [[row["name"], str(row["pairs"]), str(row["samples"]), row["judge"] or "none", row["source"]]
             if row["available"] else [row["name"], "-", "-", "-", row["reason"]] for row in rows]  # fmt: skip
    print_table(["suite", "pairs", "images a prompt", "judge", "source"], shown)
