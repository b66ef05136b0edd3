"""The command ``focusdiff ablate``. Light to import: what it needs comes when it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from focusdiff.ablation.results import ArmResult
    from focusdiff.ablation.scheduling import Outcome
    from focusdiff.ablation.worker import Job

__all__ = ["ablate_command"]

_VERBOSE = click.option("-v", "--verbose", is_flag=True, help="Show where an error came from.")


@click.command("ablate", short_help="Train and measure the arms of the ablation; makes the table and the curves.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("ablation"), show_default=True, metavar="DIR",
              help="Folder of the results; those it holds are not made again.")  # fmt: skip
@click.option("--arms", metavar="NAME,...", help="Which arms; default all. The base is always measured.")
@click.option("--seeds", type=click.IntRange(1), metavar="N",
              help="Training seeds 0 to N-1; default 7 where claims rest on the arm, else 3.")  # fmt: skip
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, metavar="N",
              help="Trainings at a time, one thread each.")  # fmt: skip
@click.option("--base", default="janus-tiny", show_default=True, metavar="MODEL", help="Model that all start from.")
@click.option("--recipe", default="shapes", show_default=True, metavar="NAME|FILE", help="Recipe of the RL arms.")
@click.option("--set", "settings", multiple=True, metavar="SECTION.KEY=VALUE",
              help="Change a value of the recipe in all RL arms (groups.samples=12, policy.options.guidance=2); "
                   "may be repeated.")  # fmt: skip
@click.option("--suite", default="shapes-dev", show_default=True, metavar="NAME",
              help="Suite that results are read on; choices are made on shapes-dev, shapes is read once.")  # fmt: skip
@click.option("--judge", "judges", multiple=True, default=("pixels",), show_default=True, metavar="NAME",
              help="Judge of the results; repeat it for judges that gave no reward.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Measure at most so many pairs: a quick look.")
@click.option("--steps", type=click.IntRange(1), metavar="N", help="Train so many steps: a quick look.")
@click.option("--table-only", is_flag=True, help="Train nothing; show what there is.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the table.")
@_VERBOSE
def ablate_command(out: Path, **given: Any) -> None:
    """Re-run the paper's ablation (FocusDiff, arXiv 2506.05501, Table 3), one process per arm and training seed.

    Each one that is finished leaves a small JSON file under DIR/results; the table grows with them over days, and no
    checkpoint need stay. Also writes DIR/table.md, DIR/curves.png and DIR/curves.svg.
    """
    from focusdiff.ablation.results import read_results
    from focusdiff.ablation.worker import Job
    from paircomp.runtime.capabilities import parse_options

    job = Job(out, given["base"], given["recipe"], given["suite"], judges=tuple(given["judges"]), limit=given["limit"],
              steps=given["steps"], settings=parse_options(given["settings"], where="--set"))  # fmt: skip
    outcomes = [] if given["table_only"] else _run(job, given["arms"], given["seeds"], given["jobs"])
    results = read_results(out)
    _show(results, job, as_json=given["as_json"])
    _refuse_failed(outcomes)


def _run(job: Job, arms: str | None, seeds: int | None, jobs: int) -> list[Outcome]:
    from focusdiff.ablation.arms import ARMS, arm_named
    from focusdiff.ablation.scheduling import Announced, open_work, run_all
    from focusdiff.ablation.training import read_arm

    names = [name.strip() for name in arms.split(",")] if arms else list(ARMS)
    wanted = {arm_named(name).name: seeds or ARMS[name].seeds for name in names}
    for name in wanted:
        read_arm(ARMS[name], 0, job)  # every worker would stumble over the same fault of the recipe
    work = open_work(job, wanted)
    return run_all(job, work, jobs=jobs, heard=Announced(len(work)))


def _show(results: list[ArmResult], job: Job, *, as_json: bool) -> None:
    from rich.console import Console

    from focusdiff.ablation.curves import draw_curves
    from focusdiff.ablation.table import ablation_tables, to_markdown, to_terminal
    from paircomp.runtime.files import write_atomically

    if not results:
        click.echo(json.dumps({"results": []}) if as_json else "no results yet", err=not as_json)
        return
    tables = ablation_tables(results, judge=job.judges[0])
    write_atomically(job.out / "table.md", to_markdown(tables).encode())
    draw_curves(results, job.out)
    if as_json:
        said = [{"title": each.title, "note": each.note, "columns": each.columns, "rows": each.rows} for each in tables]
        click.echo(json.dumps({"results": [[each.arm, each.seed] for each in results], "tables": said}))
    else:
        Console(width=None, highlight=False).print(to_terminal(tables))


def _refuse_failed(outcomes: list[Outcome]) -> None:
    from paircomp.errors import AdapterError

    if failed := [each for each in outcomes if each.fault]:
        said = "; ".join(f"{each.arm} seed {each.seed}: {each.fault}" for each in failed[:5])
        raise AdapterError(f"{len(failed)} of {len(outcomes)} failed: {said}; next: mend it and run the same command")
