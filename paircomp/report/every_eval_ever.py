"""Every Eval Ever: the field's shared JSON for evaluation results (schema 0.3.0), from a report.

A record says what was measured and how; an optional companion file holds one line per scored image. Scores stay in
[0, 1]. An image without a score is left out of the companion under the reading `exclude` and stands there as 0 with its
`error` under `zero`; the record counts such images in either case.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from paircomp.report.schema import ContrastScores, Interval, Report, Summary
from paircomp.report.wording import CONTRASTS, METRICS, average_over, average_title, subtask_title
from paircomp.runtime.files import write_json
from paircomp.types import ImageKey

__all__ = ["SCHEMA_VERSION", "ScoredImage", "samples", "to_every_eval_ever", "write_every_eval_ever"]

SCHEMA_VERSION: Final = "0.3.0"

_MEANINGS: Final = {
    "s_a": "Mean over pairs of the arithmetic mean of the judge's scores of a pair's images",
    "s_g": "Mean over pairs of the geometric mean of the judge's scores of a pair's images",
    "gap": "s_a minus s_g: what a model loses because the images of a pair score unevenly",
    "full_pass": "Share of pairs in which every image scores at least 0.5",
    "text": "How often an image scores higher with its own prompt than with the other prompt of its pair",
    "image": "How often a prompt scores higher with its own image than with the other image of its pair",
    "group": "How often both of the above hold for a pair",
}
_HUB_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9](?:[\w.-]*\w)?", re.ASCII)

# Names under which judges keep their question in their identity.
_QUESTIONS: Final = ("template", "question", "prompt_template")


@dataclass(frozen=True, slots=True)
class ScoredImage:
    """One image and the judge's answer about its own prompt.

    Attributes:
        key: which image.
        subtask: of its pair.
        prompt_sha256: hex SHA-256 of the prompt's UTF-8 bytes.
        prompt: the text; None where the caller does not have it.
        image_sha256: hex SHA-256 of the image file; None where there is none.
        score: in [0, 1]; None only with `unscored`.
        unscored: why there is no score.
    """

    key: ImageKey
    subtask: str
    prompt_sha256: str
    prompt: str | None = None
    image_sha256: str | None = None
    score: float | None = None
    unscored: str | None = None


def to_every_eval_ever(report: Report, *, evaluation_id_time: int, organization: str = "unknown") -> dict[str, Any]:
    """The aggregate record: one result per subtask and mean, then the macro averages; means without pairs are left out.

    Args:
        report: the report.
        evaluation_id_time: seconds since 1970; part of the record's name, so the caller decides what makes two runs
            the same evaluation.
        organization: who ran the evaluation; also stands for the developer where the checkpoint is no Hub id.
    """
    model = _model_id(report, organization)
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": f"{_slug(report['suite']['name'])}/{model}/{evaluation_id_time}",
        "retrieved_timestamp": str(evaluation_id_time),
        "source_metadata": {
            "source_name": "PairComp",
            "source_type": "evaluation_run",
            "source_organization_name": organization,
            "evaluator_relationship": "other",
        },
        "eval_library": {
            "name": "paircomp",
            "version": report["paircomp_version"],
            "additional_details": {"report_schema": report["schema"]},
        },
        "model_info": _model_info(report["generator"]["model"], model, _model_details(report)),
        "evaluation_results": list(_results(report)),
    }


def samples(
    report: Report, images: Iterable[ScoredImage], *, record: Mapping[str, Any], include_prompts: bool = False
) -> Iterator[dict[str, Any]]:
    """Lines of the companion file, in the order of `images`.

    Args:
        report: the report.
        images: every image of the run once.
        record: what :func:`to_every_eval_ever` gave; the lines refer to it.
        include_prompts: write texts even where the suite's prompts are not public. Otherwise such a prompt appears as
            its hash.
    """
    texts = include_prompts or report["suite"]["prompts_public"]
    for image in images:
        if image.score is not None or report["unscored_reading"] == "zero":
            yield _sample(report, image, record, texts=texts)


def write_every_eval_ever(
    report: Report,
    folder: Path,
    *,
    evaluation_id_time: int,
    images: Iterable[ScoredImage] = (),
    organization: str = "unknown",
    include_prompts: bool = False,
) -> list[Path]:
    """Write the record, and the companion where there are `images`, below `folder` as the datastore wants them.

    The files are ``data/<suite>/<developer>/<model>/<uuid>.json`` and ``<uuid>_samples.jsonl``; the UUID comes from the
    record, so the same run gives the same files.

    Returns:
        The files written, the record first.
    """
    record = to_every_eval_ever(report, evaluation_id_time=evaluation_id_time, organization=organization)
    name = uuid.UUID(bytes=hashlib.sha256(_json(record)).digest()[:16], version=4)
    developer, model = record["model_info"]["id"].split("/", 1)
    place = f"data/{_slug(report['suite']['name'])}/{developer}/{model}"
    rows = samples(report, images, record=record, include_prompts=include_prompts)
    companion = folder / place / f"{name}_samples.jsonl"
    count, digest = _write_lines(companion, (_json(row) + b"\n" for row in rows))
    if count:
        record["detailed_evaluation_results"] = {
            "format": "jsonl",
            "file_path": f"{place}/{companion.name}",
            "hash_algorithm": "sha256",
            "checksum": digest,
            "total_rows": count,
        }
    aggregate = folder / place / f"{name}.json"
    write_json(aggregate, record)
    return [aggregate, companion] if count else [aggregate]


def _write_lines(path: Path, lines: Iterator[bytes]) -> tuple[int, str]:
    """Write `lines` one by one, whole or not at all; their number and SHA-256. Without lines there is no file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    count, digest = 0, hashlib.sha256()
    try:
        with temporary.open("wb") as file:
            for count, line in enumerate(lines, start=1):  # noqa: B007 - the last count is the result
                file.write(line)
                digest.update(line)
        if count:
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return count, digest.hexdigest()


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, allow_nan=False).encode()


def _model_id(report: Report, organization: str) -> str:
    """The Hub id of the checkpoint, or one made of `organization` and the model's name.

    A folder may look like a Hub id; only a checkpoint with a revision is taken for one.
    """
    checkpoint, revision = report["generator"]["checkpoint"], report["generator"]["revision"]
    if checkpoint and revision and _HUB_ID.fullmatch(checkpoint):
        return checkpoint
    return f"{_slug(organization)}/{_slug(report['generator']['model'])}"


def _slug(name: str) -> str:
    """`name` as one portable path component."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "unnamed"


def _model_info(name: str, identifier: str, details: Mapping[str, Any]) -> dict[str, Any]:
    unknown = {"deployment_type": "unknown", "model_availability": "unknown"}
    return {"name": name, "id": identifier, "additional_details": unknown | _strings(details)}


def _model_details(report: Report) -> dict[str, Any]:
    generator = report["generator"]
    known = {name: generator[name] for name in ("adapter", "checkpoint", "revision", "trained_with_judge")}
    return {name: value for name, value in known.items() if value is not None}


def _strings(values: Mapping[str, Any]) -> dict[str, str]:
    """The schema wants strings only: other values become JSON."""
    return {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for key, value in values.items()
    }


def _results(report: Report) -> Iterator[dict[str, Any]]:
    contrast = report.get("contrast")
    for name, summary in report["subtasks"].items():
        yield from _of_line(report, name, subtask_title(name), summary)
        if contrast and name in contrast["subtasks"]:
            yield from _of_contrast(report, name, subtask_title(name), contrast["subtasks"][name])
    title = average_title(*average_over(report))
    yield from _of_line(report, "average", title, report["average"])
    if contrast:
        yield from _of_contrast(report, "average", title, contrast["average"])


def _of_line(report: Report, name: str, title: str, summary: Summary) -> Iterator[dict[str, Any]]:
    for metric in METRICS:
        value, bounds = summary[metric], summary["ci"].get(metric)
        if value is not None:
            yield _result(report, name, title, metric, max(value, 0.0), bounds, summary["pairs"])


def _of_contrast(report: Report, name: str, title: str, scores: ContrastScores) -> Iterator[dict[str, Any]]:
    for metric in CONTRASTS:
        value, bounds = scores[metric], scores["ci"].get(metric)
        if value is not None:
            yield _result(report, name, title, metric, value, bounds, scores["pairs"])


def _result(
    report: Report, name: str, title: str, metric: str, value: float, bounds: Interval | None, pairs: int
) -> dict[str, Any]:
    suite = report["suite"]
    return {
        "evaluation_result_id": _result_id(report, name, metric),
        "evaluation_name": f"{suite['name']}: {title}",
        "source_data": _source_data(report),
        "metric_config": {
            "evaluation_description": _MEANINGS[metric],
            "metric_id": f"paircomp.{metric}",
            "metric_name": metric,
            "metric_unit": "proportion",
            "metric_parameters": {"K": suite["samples"]},
            "lower_is_better": metric == "gap",
            "score_type": "continuous",
            "min_score": 0.0,
            "max_score": 1.0,
            **_judging(report),
        },
        "score_details": {
            "score": value,
            "details": _score_details(report),
            "uncertainty": _uncertainty(report, bounds, pairs),
        },
        "generation_config": {"additional_details": _generation_details(report)},
    }


def _result_id(report: Report, name: str, metric: str) -> str:
    return f"{report['suite']['name']}@{report['suite']['pairs']}/{name}/{metric}"


def _source_data(report: Report) -> dict[str, Any]:
    suite = report["suite"]
    details = _strings({"suite_digest": suite["digest"], "pairs": suite["pairs"], "source": suite["source"]})
    named = {"dataset_name": suite["name"], "additional_details": details}
    if re.fullmatch(r"https?://\S+", suite["source"]):
        return named | {"source_type": "url", "url": [suite["source"]]}
    return named | {"source_type": "other"}


def _judging(report: Report) -> dict[str, Any]:
    """The judge: as a scoring model where it asks a question, in plain details where it measures pixels."""
    judge = report["judge"]
    question = next((judge["identity"][name] for name in _QUESTIONS if judge["identity"].get(name)), None)
    if question is None:
        return {"additional_details": _strings({"judge": judge["name"], **judge["identity"]})}
    model = _model_info(judge["name"], f"paircomp-judge/{_slug(judge['name'])}", judge["identity"])
    return {"llm_scoring": {"judges": [{"model_info": model}], "input_prompt": str(question)}}


def _score_details(report: Report) -> dict[str, str]:
    suite, coverage = report["suite"], report["coverage"]
    return _strings(
        {
            "notices": "; ".join(report["notices"]) or "none",
            "selected_pairs": suite["selected_pairs"],
            "unscored_reading": report["unscored_reading"],
            "images": coverage["images"],
            "unscored_images": coverage["unscored"],
        }
    )


def _uncertainty(report: Report, bounds: Interval | None, pairs: int) -> dict[str, Any]:
    if bounds is None:
        return {"num_samples": pairs}
    method = report["interval"]
    drawn = {"num_bootstrap_samples": method["draws"]} if method["draws"] else {}
    interval = {"lower": bounds[0], "upper": bounds[1], "confidence_level": method["level"], "method": method["method"]}
    return {"confidence_interval": interval, "num_samples": pairs, **drawn}


def _generation_details(report: Report) -> dict[str, str]:
    generator = report["generator"]
    seeds = {"seed": generator["seed"], "supports_seeds": generator["supports_seeds"]}
    return _strings(generator["recipe"] | seeds | {"samples_per_prompt": report["suite"]["samples"]})


def _sample(report: Report, image: ScoredImage, record: Mapping[str, Any], *, texts: bool) -> dict[str, Any]:
    key = image.key
    prompt = image.prompt if texts and image.prompt is not None else f"sha256:{image.prompt_sha256}"
    drawn = "none" if image.image_sha256 is None else f"sha256:{image.image_sha256}"
    score = 0.0 if image.score is None else image.score
    attribution = {"turn_idx": 0, "source": "output.raw", "extracted_value": json.dumps(image.score),
                   "extraction_method": "llm_judge", "is_terminal": True}  # fmt: skip
    row = {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": record["evaluation_id"],
        "model_id": record["model_info"]["id"],
        "evaluation_name": f"{report['suite']['name']}: {subtask_title(image.subtask)}",
        "evaluation_result_id": _result_id(report, image.subtask, "s_a"),
        "sample_id": f"{key.pair}/{key.prompt}/{key.sample}",
        "sample_hash": hashlib.sha256((prompt + prompt).encode()).hexdigest(),
        "interaction_type": "single_turn",
        "input": {"raw": prompt, "reference": [prompt]},
        "output": {"raw": [drawn]},
        "answer_attribution": [attribution],
        # The schema asks for a verdict: a score of 0.5 or more is one.
        "evaluation": {"score": score, "is_correct": score >= 0.5},
        "metadata": key._asdict() | {"prompt_sha256": image.prompt_sha256},
    }
    return row | ({"error": image.unscored or "unscored"} if image.score is None else {})
