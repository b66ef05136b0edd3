"""``paircomp eval``, ``generate`` and ``judge``: the steps of an evaluation."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from paircomp.cli.options import (
    common_options,
    engine_options,
    evaluation_of,
    judge_options,
    model_options,
    shard_of,
    shard_option,
    store_option,
    suite_options,
)

if TYPE_CHECKING:
    from paircomp.errors import MissingImagesError
    from paircomp.evaluation import EvaluatedRun, Evaluation
    from paircomp.pipeline import StepCount
    from paircomp.report.schema import Report
    from paircomp.run_store import Run

__all__ = ["evaluate_command", "generate_command", "judge_command"]

_out = click.option("--out", type=click.Path(path_type=Path), metavar="RUN",
                    help="The run folder.  [default: runs/<model>--<suite>--seed<seed>]")  # fmt: skip
_as_json = click.option("--json", "as_json", is_flag=True, help="Print what was done as one JSON object.")
_images = click.option("--images", type=click.Path(path_type=Path), metavar="DIR",
                       help="Judge existing images named {pair}_{prompt}_{sample}.png instead of drawing.")  # fmt: skip


@click.command("eval", short_help="Generate, judge and report; run it again to resume.")
@model_options
@suite_options
@judge_options
@_images
@_out
@store_option
@shard_option
@engine_options
@click.option("--overlap/--no-overlap", default=None,
              help="Draw and judge at the same time; default where it is certain that both fit.")  # fmt: skip
@click.option("--unscored", type=click.Choice(["exclude", "zero"]), default="exclude", show_default=True,
              help="What unscored images do to the headline; the report holds both.")  # fmt: skip
@click.option("--estimate", is_flag=True, help="Only say how many images and judgements, and how long.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@common_options
def evaluate_command(**given: Any) -> None:
    """Evaluate a model: draw the images, judge them, print the table and write the report.

    \b
      paircomp eval --model sketch
      paircomp eval --adapter sketch -o mistakes=0.5 --model sloppy --limit 60
      paircomp eval --images my_images/ --suite pairs.json --judge recorded -j file=score.json
    """
    from paircomp.cli.reporting import show_report, write_reports
    from paircomp.evaluation import EvaluatedRun

    evaluation = evaluation_of(given)
    if given["estimate"]:
        _estimate(evaluation, as_json=given["as_json"])
        return
    run = evaluation.open_run()
    nothing_drawn = _run_on_ray(evaluation, run, given) if given["engine"] == "ray" else _run_steps(evaluation, run)
    evaluated = EvaluatedRun(run, evaluation.suite, evaluation.selection)
    if not evaluation.shard.whole and (left := _left_to_other_shards(evaluated, evaluation.judge_name)):
        _say_what_is_left(evaluation, run, left, as_json=given["as_json"])
        return
    judge = evaluated.judge_name(evaluation.judge)
    report = evaluated.report(judge, unscored=given["unscored"])
    show_report(report, write_reports(evaluated, report, judge), as_json=given["as_json"])
    if nothing_drawn is not None:
        raise nothing_drawn
    _refuse_without_scores(run, report)


def _refuse_without_scores(run: Run, report: Report) -> None:
    from paircomp.errors import MissingScoresError

    coverage = report["coverage"]
    if coverage["images"] and not coverage["scored"]:
        commonest = next((f": {each['reason']}" for each in coverage["reasons"]), "")
        raise MissingScoresError(
            run.path,
            f"not one of {coverage['images']} images has a score{commonest}; next: mend that and evaluate again",
        )


def _run_steps(evaluation: Evaluation, run: Run) -> MissingImagesError | None:
    """Draw and judge; the error where not one image could be had, so that the report still says why."""
    from paircomp.cli.progress import progress_for
    from paircomp.errors import MissingImagesError
    from paircomp.steps import draw_and_judge

    progress = progress_for()
    with _stdout_kept_for_results():
        try:
            draw_and_judge(evaluation, run, progress)
        except MissingImagesError as error:
            if not run.read_images(evaluation.suite).reasons:
                raise  # nothing was even tried: there is no report to write
            return error
        evaluation.judge_held_out(run, progress)
    return None


def _run_on_ray(evaluation: Evaluation, run: Run, given: dict[str, Any]) -> MissingImagesError | None:
    """The same on a Ray cluster."""
    from dataclasses import replace

    from paircomp.cli.progress import progress_for
    from paircomp.engines.ray_engine import RayResources, draw_and_judge, ray_cluster
    from paircomp.errors import MissingImagesError
    from paircomp.pipeline import judge_held_out

    asked = RayResources(address=given["ray_address"], generators=given["generators"], judges=given["judges"],
                         generator_gpus=given["generator_gpus"], judge_gpus=given["judge_gpus"],
                         cpus=given["actor_cpus"])  # fmt: skip
    progress = progress_for()
    with _stdout_kept_for_results(), ray_cluster(asked, evaluation, progress) as resources:
        try:
            draw_and_judge(evaluation, run, resources, progress)
        except MissingImagesError as error:
            return error

        def ask(name: str) -> StepCount:
            other = replace(evaluation, judge=name, judge_checkpoint=None, judge_options={})
            return draw_and_judge(other, run, resources, progress)[1]

        judge_held_out(run, evaluation.suite, evaluation.judge_name, ask, progress)
    return None


def _left_to_other_shards(evaluated: EvaluatedRun, judge: str) -> dict[str, int]:
    """Images and judgements that other shards have not come to yet; empty where nothing is left."""
    from paircomp.pipeline.remaining import left_to_do
    from paircomp.run_store import Selection
    from paircomp.run_store.held_out import held_out_judge, needs_held_out

    run, suite = evaluated.run, evaluated.suite
    second = held_out_judge(run, suite) if needs_held_out(run, suite, judge) else None
    judges = [judge] if second is None or second not in run.judges() else [judge, second]
    images, judgements = left_to_do(run, suite, evaluated.selection or Selection(), judges)
    return {"images_left": images, "judgements_left": judgements} if images or judgements else {}


def _say_what_is_left(evaluation: Evaluation, run: Run, left: dict[str, int], *, as_json: bool) -> None:
    """The shard that finds nothing left writes the report; the others say so."""
    if as_json:
        click.echo(json.dumps({"run": str(run.path), "shard": str(evaluation.shard), **left}))
    click.echo(f"shard {evaluation.shard} is done; other shards have {left['images_left']} images and "
               f"{left['judgements_left']} judgements left, and the last one writes the report", err=True)  # fmt: skip


def _stdout_kept_for_results() -> contextlib.redirect_stdout[TextIO]:
    """Generators and judges that print do so on stderr."""
    return contextlib.redirect_stdout(sys.stderr)


@click.command("generate", short_help="Only draw the images.")
@model_options
@suite_options
@_out
@store_option
@shard_option
@_as_json
@common_options
def generate_command(**given: Any) -> None:
    """Draw the images of a suite; run it again to resume."""
    from paircomp.cli.progress import progress_for

    evaluation = evaluation_of(given)
    run = evaluation.open_run()
    with _stdout_kept_for_results():
        done = evaluation.generate(run, progress_for())
    _say_done(run, done, as_json=given["as_json"])
    click.echo(f"next: paircomp judge {run.path}", err=True)


@click.command("judge", short_help="Only judge images that exist.")
@click.argument("run", required=False, type=click.Path(path_type=Path), metavar="[RUN]")
@click.option("--model", metavar="NAME", help="What tables shall call the model that drew --images.")
@suite_options
@judge_options
@_images
@_out
@shard_option
@_as_json
@common_options
def judge_command(run: Path | None, **given: Any) -> None:
    """Judge the images of RUN, or any folder of officially named images; run it again to resume.

    \b
      paircomp judge runs/sketch--shapes--seed0 --judge pixels
      paircomp judge --images my_images/ --suite paircomp --model my-model
    """
    from paircomp.cli.progress import progress_for

    if (run is None) == (given["images"] is None):
        raise click.UsageError("name a RUN or --images DIR, one of them.")
    progress = progress_for()
    if run is None:
        evaluation = evaluation_of({**given, "options": (), "adapter": None, "checkpoint": None})
        opened = evaluation.open_run()
        evaluation.generate(opened, progress)
    else:
        evaluation, opened = _of_run(run, given)
        evaluation.import_again(opened, progress)
    with _stdout_kept_for_results():
        done = evaluation.judge_run(opened, progress)
    _say_done(opened, done, as_json=given["as_json"])
    click.echo(f"next: paircomp report {opened.path}", err=True)


def _say_done(run: Run, done: StepCount, *, as_json: bool) -> None:
    """The run's folder, or what the step did as one object."""
    click.echo(json.dumps({"run": str(run.path), **done.to_json()}) if as_json else str(run.path))


def _of_run(path: Path, given: dict[str, Any]) -> tuple[Evaluation, Run]:
    """The evaluation that judges an existing run as a whole, or the part asked for."""
    from paircomp.cli.options import registry_of
    from paircomp.evaluation import Evaluation, default_judge
    from paircomp.run_store import Run, Selection
    from paircomp.runtime.capabilities import parse_options

    if given["suite"] or given["out"] or given["model"]:
        raise click.UsageError("--suite, --out and --model go with --images; a RUN has its own.")
    run = Run.open(path)
    suite = run.suite()
    evaluation = Evaluation(
        registry=registry_of(given["plugins"]), suite=suite, judge=given["judge"] or default_judge(suite),
        judge_checkpoint=given["judge_checkpoint"],
        judge_options=parse_options(given["judge_options"], where="option -j"), device=given["device"],
        batch_size=given["batch_size"], cross=given["cross"], out=path,
        selection=Selection(given["limit"], tuple(given["subtasks"]) or None), shard=shard_of(given["shard"]),
    )  # fmt: skip
    evaluation.check()
    return evaluation, run


def _estimate(evaluation: Evaluation, *, as_json: bool) -> None:
    from paircomp.estimation import estimate

    with _stdout_kept_for_results():
        said = estimate(evaluation)
    if as_json:
        click.echo(json.dumps(said.to_json(), allow_nan=False))
    else:
        for line in said.lines():
            click.echo(line)
