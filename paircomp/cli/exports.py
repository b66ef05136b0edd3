"""The exports of ``paircomp report`` that other sites read: Every Eval Ever, the Hub, the published score file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from paircomp.errors import RunError

if TYPE_CHECKING:
    from paircomp.evaluation import EvaluatedRun
    from paircomp.report.every_eval_ever import ScoredImage
    from paircomp.report.schema import Report
    from paircomp.run_store.score_table import Judged
    from paircomp.runtime.stores import ImageStore

__all__ = ["export_every_eval_ever", "export_hub", "export_official_scores"]


def export_every_eval_ever(
    evaluated: EvaluatedRun, report: Report, judge: str, folder: Path, *, organization: str, include_prompts: bool
) -> list[Path]:
    """Write the record and one line per image below ``every_eval_ever/`` in `folder`."""
    from paircomp.report.every_eval_ever import write_every_eval_ever
    from paircomp.run_store.score_table import read_judged

    judged = read_judged(evaluated.run, evaluated.suite, judge, evaluated.pairs())
    written = write_every_eval_ever(
        report, folder / "every_eval_ever", evaluation_id_time=_made_at(evaluated),
        organization=organization, images=_scored_images(judged), include_prompts=include_prompts,
    )  # fmt: skip
    return list(written)


def _made_at(evaluated: EvaluatedRun) -> int:
    """When the run began, in seconds since 1970: writing the same run out again is the same evaluation."""
    started = _started(evaluated, 0)
    try:
        return int(datetime.fromisoformat(started).timestamp())
    except (ValueError, OverflowError) as error:  # the 31st of February
        raise RunError(evaluated.run.path, f"run.json: expected the moment of a command, got {started!r}") from error


def _started(evaluated: EvaluatedRun, place: int) -> str:
    """When the first or last command on the run began, as ``run.json`` says it.

    Raises:
        RunError: none did.
    """
    if not evaluated.run.manifest["invocations"]:
        raise RunError(evaluated.run.path, "run.json names no command that made this run; next: paircomp eval")
    return str(evaluated.run.manifest["invocations"][place]["started"])


def _scored_images(judged: Judged) -> Iterator[ScoredImage]:
    from paircomp.report.every_eval_ever import ScoredImage
    from paircomp.report.frames import image_rows
    from paircomp.suites import prompt_sha256
    from paircomp.types import ImageKey

    store = judged.run.image_store
    for row in image_rows(judged):
        key = ImageKey(row["pair"], row["prompt"], row["sample"])
        score = None if row["unscored"] else row["score"]
        yield ScoredImage(
            key, row["subtask"], prompt_sha256(row["text"]), prompt=row["text"], score=score,
            image_sha256=_file_digest(store, key.filename), unscored=row["unscored"],
        )  # fmt: skip


def _file_digest(store: ImageStore, name: str) -> str | None:
    try:
        return hashlib.sha256(store.read(name)).hexdigest()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"{store.location}/{name}", error.strerror or str(error)) from error


def export_hub(evaluated: EvaluatedRun, report: Report, *, dataset: str | None) -> dict[str, bytes]:
    """The section of a model card, and the ``.eval_results`` file where the benchmark's data set is named."""
    from paircomp.report.hub import eval_results_path, eval_results_yaml, model_card_section

    files = {"model_card_section.md": model_card_section(report).encode()}
    if dataset is None:
        click.echo("Note: no .eval_results file without --hub-dataset OWNER/NAME, the benchmark's data set on the Hub",
                   err=True)  # fmt: skip
        return files
    day = _started(evaluated, -1)[:10]
    return {**files, eval_results_path(report): eval_results_yaml(report, dataset_id=dataset, date=day).encode()}


def export_official_scores(evaluated: EvaluatedRun, judge: str) -> dict[str, Any]:
    """``score.json`` as the published evaluator writes it; unscored images are left out of it."""
    from paircomp.run_store.score_table import read_judged
    from paircomp.scoring import official_scores_json

    table = read_judged(evaluated.run, evaluated.suite, judge, evaluated.pairs()).table
    return {"score.json": official_scores_json(table).encode()}
