"""Every Eval Ever records, checked by that project's own validator."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from paircomp.report.every_eval_ever import ScoredImage, samples, to_every_eval_ever, write_every_eval_ever
from paircomp.report.schema import Report
from paircomp.types import ImageKey

TIME = 1_790_000_000


def images(unscored: int = 0) -> Iterator[ScoredImage]:
    for number in range(8):
        prompt = f"prompt {number // 2 % 2} of pair {number // 4}"
        score = None if number < unscored else number / 8
        yield ScoredImage(
            key=ImageKey(number // 4, number // 2 % 2, number % 2),
            subtask="color",
            prompt=prompt,
            prompt_sha256=hashlib.sha256(prompt.encode()).hexdigest(),
            image_sha256=None if score is None else hashlib.sha256(bytes([number])).hexdigest(),
            score=score,
            unscored="refused: content policy" if score is None else None,
        )


class Files:
    """Files below a folder by their path within it, as the validator asks for them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __contains__(self, path: object) -> bool:
        return (self.root / str(path)).is_file()

    def read(self, path: str) -> str:
        return (self.root / path).read_text(encoding="utf-8")


@pytest.fixture
def validated() -> Callable[[Path, Path], list[str]]:
    """The validator's findings about one file, warnings too: they block a submission."""
    reason = "every-eval-ever 0.3.0 is not installed (it needs Python 3.12)"
    core: Any = pytest.importorskip("every_eval_ever.validator.validation_core", reason=reason)
    if core.get_schema_version() != "0.3.0":
        pytest.skip(reason)

    def findings(root: Path, path: Path) -> list[str]:
        files = Files(root)
        report = core.validate_file(
            path,
            repo_path=path.relative_to(root).as_posix(),
            available_files=files,
            read_repo_file=files.read,
            run_semantic_checks=True,
        )
        return [str(finding) for finding in [*report.errors, *report.warnings]]

    return findings


def test_records_are_valid(any_report: Report, tmp_path: Path, validated: Callable[[Path, Path], list[str]]) -> None:
    written = write_every_eval_ever(
        any_report, tmp_path, evaluation_id_time=TIME, images=images(), organization="Example Lab"
    )
    assert [path.suffix for path in written] == [".json", ".jsonl"]
    assert [validated(tmp_path, path) for path in written] == [[], []]
    assert sorted(tmp_path.rglob("*.*")) == sorted(written)


def test_a_record_without_images_has_no_companion(
    example: Callable[[str], Report], tmp_path: Path, validated: Callable[[Path, Path], list[str]]
) -> None:
    [aggregate] = write_every_eval_ever(example("full"), tmp_path, evaluation_id_time=TIME)
    assert validated(tmp_path, aggregate) == []
    assert "detailed_evaluation_results" not in json.loads(aggregate.read_text(encoding="utf-8"))


def test_results_hold_the_numbers_of_the_report(example: Callable[[str], Report]) -> None:
    report = example("full")
    record = to_every_eval_ever(report, evaluation_id_time=TIME, organization="Example Lab")
    results = {result["evaluation_result_id"]: result for result in record["evaluation_results"]}
    assert len(results) == len(record["evaluation_results"]) == 7 * 7
    color = results["paircomp@550/color/s_g"]
    assert color["score_details"]["score"] == report["subtasks"]["color"]["s_g"]
    interval = color["score_details"]["uncertainty"]["confidence_interval"]
    assert [interval["lower"], interval["upper"]] == report["subtasks"]["color"]["ci"]["s_g"]
    assert results["paircomp@550/average/gap"]["metric_config"]["lower_is_better"] is True
    assert color["metric_config"]["llm_scoring"]["input_prompt"].startswith("Does this image")
    assert record["evaluation_id"] == f"paircomp/wendell0218/Janus-FocusDiff-7B/{TIME}"


def test_what_was_not_measured_is_left_out(example: Callable[[str], Report]) -> None:
    record = to_every_eval_ever(example("zero_pairs"), evaluation_id_time=TIME)
    named = {result["evaluation_result_id"].split("/", 1)[1] for result in record["evaluation_results"]}
    assert not [name for name in named if name.startswith(("text/", "average/"))]
    assert record["evaluation_results"][0]["score_details"]["details"]["unscored_images"] == "200"


def test_a_local_checkpoint_is_no_hub_id(example: Callable[[str], Report]) -> None:
    report = example("full")
    report["generator"] |= {"checkpoint": "checkpoints/janus", "revision": None}
    record = to_every_eval_ever(report, evaluation_id_time=TIME, organization="Example Lab")
    assert record["model_info"]["id"] == "Example-Lab/janus-focusdiff-7b"


def test_a_judge_without_a_question_is_no_language_model(example: Callable[[str], Report]) -> None:
    report = example("full")
    report["judge"] = {"name": "pixels", "identity": {"rules": 3}}
    config = to_every_eval_ever(report, evaluation_id_time=TIME)["evaluation_results"][0]["metric_config"]
    assert "llm_scoring" not in config
    assert config["additional_details"] == {"judge": "pixels", "rules": "3"}


@pytest.mark.parametrize(
    ("name", "include", "seen"), [("full", False, True), ("private", False, False), ("private", True, True)]
)
def test_texts_are_written_only_where_they_may_be(
    example: Callable[[str], Report], tmp_path: Path, name: str, include: bool, seen: bool
) -> None:
    written = write_every_eval_ever(
        example(name), tmp_path, evaluation_id_time=TIME, images=images(), include_prompts=include
    )
    text = "".join(path.read_text(encoding="utf-8") for path in written)
    assert ("prompt 0 of pair 1" in text) is seen
    assert hashlib.sha256(b"prompt 0 of pair 1").hexdigest() in text


def test_unscored_images_follow_the_reading(example: Callable[[str], Report]) -> None:
    report = example("full")
    record = to_every_eval_ever(report, evaluation_id_time=TIME)
    assert len(list(samples(report, images(unscored=3), record=record))) == 5
    report["unscored_reading"] = "zero"
    rows = list(samples(report, images(unscored=3), record=record))
    assert [row.get("error") for row in rows[:4]] == ["refused: content policy"] * 3 + [None]
    assert [row["evaluation"]["score"] for row in rows[:3]] == [0.0] * 3


def test_the_same_run_gives_the_same_files(example: Callable[[str], Report], tmp_path: Path) -> None:
    def write(folder: str) -> dict[str, bytes]:
        written = write_every_eval_ever(example("full"), tmp_path / folder, evaluation_id_time=TIME, images=images())
        return {path.name: path.read_bytes() for path in written}

    first = write("one")
    assert first == write("two")
    aggregate = json.loads(next(content for name, content in first.items() if name.endswith(".json")))
    companion = next(content for name, content in first.items() if name.endswith(".jsonl"))
    assert aggregate["detailed_evaluation_results"]["checksum"] == hashlib.sha256(companion).hexdigest()


def test_a_failing_source_of_images_leaves_nothing_behind(example: Callable[[str], Report], tmp_path: Path) -> None:
    def broken() -> Iterator[ScoredImage]:
        yield from images()
        raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        write_every_eval_ever(example("full"), tmp_path, evaluation_id_time=TIME, images=broken())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
