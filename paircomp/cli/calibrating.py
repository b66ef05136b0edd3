"""``paircomp calibrate``: can this judge be trusted."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from paircomp.cli.options import BatchSize, registry_of

if TYPE_CHECKING:
    from paircomp.evaluation import EvaluatedRun
    from paircomp.plugins import Registry
    from paircomp.protocols import Judge

__all__ = ["calibrate_command"]


@click.command("calibrate", short_help="Can this judge be trusted?")
@click.argument("judge", metavar="JUDGE")
@click.option("--against", metavar="OTHER", help="Another judge: agreement, and the images they see most differently.")
@click.option("--labels", type=click.Path(path_type=Path), metavar="FILE",
              help='Human labels, one a line: {"image": "cat.png", "prompt": "a cat", "label": true}.')  # fmt: skip
@click.option("--run", type=click.Path(path_type=Path), metavar="RUN",
              help="A run that JUDGE has judged: response rates, and the calibration in its report.")  # fmt: skip
@click.option("--pairs", "pairs_per_subtask", type=click.IntRange(1, 40), default=20, show_default=True, metavar="N",
              help="Pairs of known scenes for each subtask.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of layouts and noise.")
@click.option("--judge-checkpoint", metavar="PATH|ID", help="Weights of JUDGE, in place of its own.")
@click.option(
    "-j",
    "--judge-option",
    "judge_options",
    multiple=True,
    metavar="KEY=VALUE",
    help="Option of JUDGE; dtype=NAME: format of its weights.",
)
@click.option("--device", default="auto", show_default=True, metavar="NAME", help="auto takes cuda, mps or cpu.")
@click.option("--batch-size", type=BatchSize(), default=None, help="Images at a time.  [default: 8]")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="Where the files go.  [default: calibrations/JUDGE]")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the calibration as one JSON object.")
@click.option("--plugin", "plugins", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
              help="A Python file with more judges.")  # fmt: skip
@click.option("-v", "--verbose", is_flag=True, help="Show where an error came from.")
def calibrate_command(judge: str, **given: Any) -> None:
    """Measure JUDGE on images whose right answer is certain, and by what moves its scores without reason.

    \b
      paircomp calibrate pixels
      paircomp calibrate internvl-tiny --against pixels
      paircomp calibrate pixels --run runs/sketch--shapes--seed0
      paircomp calibrate internvl2.5-26b --labels people.jsonl --json
    """
    found = _calibration(judge, given)
    files = _write(found, given["out"] or Path("calibrations") / judge)
    if given["as_json"]:
        click.echo(json.dumps(found, ensure_ascii=False, allow_nan=False))
        return
    from rich.console import Console

    from paircomp.report.panels import panel_text
    from paircomp.report.trust import calibration_panels

    console = Console(highlight=False)
    for panel in calibration_panels(found):
        console.print(panel_text(panel))
    names = ", ".join(file.name for file in files)
    console.print(f"\nwritten to {files[0].parent}: {names}", style="dim", markup=False, soft_wrap=True)


def _calibration(judge: str, given: Mapping[str, Any]) -> dict[str, Any]:
    from paircomp.calibration import calibrate, embedded_controls, read_labels
    from paircomp.runtime.capabilities import parse_options

    registry = registry_of(given["plugins"])
    options = parse_options(given["judge_options"], where="option -j")
    labels = read_labels(given["labels"]) if given["labels"] else []
    with contextlib.ExitStack() as stack:
        asked, identity = _open(stack, registry, judge, given["device"], given["judge_checkpoint"], options)
        run = _judged_run(given["run"], judge, identity)
        against = None
        if given["against"]:
            against = (given["against"], *_open(stack, registry, given["against"], given["device"], None, {}))
        cases = embedded_controls(given["pairs_per_subtask"], seed=given["seed"])
        found = calibrate(asked, cases, name=judge, identity=identity, labels=labels, batch_size=given["batch_size"],
                          against=against)  # fmt: skip
    if run is not None:
        _add_run(run, judge, given["against"], found)
    return found


def _open(
    stack: contextlib.ExitStack, registry: Registry, name: str, device: str, checkpoint: str | None,
    options: Mapping[str, Any],
) -> tuple[Judge, dict[str, Any]]:  # fmt: skip
    """The judge, closed with `stack`, and its identity as a run would store it."""
    from paircomp.evaluation import judge_identity
    from paircomp.runtime.capabilities import JUDGE_OPTIONS, check_options, identity_of
    from paircomp.runtime.machine import resolve_device

    factory = registry.judge(name)
    check_options(factory, options, where=f"option -j of judge {name!r}", also=JUDGE_OPTIONS)
    judge = factory(checkpoint=checkpoint, device=resolve_device(device), **options)
    stack.callback(judge.close)
    return judge, {**judge_identity(factory, name, checkpoint, options), "says": identity_of(judge)}


def _judged_run(path: Path | None, judge: str, identity: Mapping[str, Any]) -> EvaluatedRun | None:
    """The run, held against the judge before anything is asked."""
    from paircomp.evaluation import load_run
    from paircomp.run_store.calibrations import hold_against_run

    if path is None:
        return None
    evaluated = load_run(path)
    hold_against_run(evaluated.run, judge, identity)
    return evaluated


def _add_run(evaluated: EvaluatedRun, judge: str, against: str | None, found: dict[str, Any]) -> None:
    from paircomp.calibration.responses import compare_on_run, response_rates
    from paircomp.run_store.calibrations import store_calibration

    run, suite, pairs = evaluated.run, evaluated.suite, evaluated.pairs()
    found["responses"] = response_rates(run, suite, judge, pairs)
    if against is not None:
        found["agreement"]["run"] = compare_on_run(run, suite, judge, against, pairs)
    store_calibration(run, judge, found)


def _write(found: Mapping[str, Any], folder: Path) -> list[Path]:
    from paircomp.report.html import calibration_to_html
    from paircomp.runtime.files import disk_faults, write_atomically, write_json

    files = [folder / "calibration.json", folder / "calibration.html"]
    with disk_faults(folder):
        write_json(files[0], found)
        write_atomically(files[1], calibration_to_html(found).encode())
    return files
