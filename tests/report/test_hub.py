"""The Hub's evaluation results, read back by a real YAML parser, and the model-card section."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from paircomp.errors import ConfigError
from paircomp.report.hub import eval_results_path, eval_results_yaml, model_card_section
from paircomp.report.schema import Report


def test_yaml_holds_the_macro_averages_in_percent(example: Callable[[str], Report]) -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    report = example("low_coverage")
    text = eval_results_yaml(
        report, dataset_id="example/paircomp", date="2026-01-31", source_url="https://example.org/report.html"
    )
    first, second = yaml.safe_load(text)
    assert first["dataset"] == {"id": "example/paircomp", "task_id": "average_s_g"}
    assert second["dataset"]["task_id"] == "average_s_a"
    assert first["value"] == pytest.approx(100 * (report["average"]["s_g"] or 0), abs=1e-9)
    assert first["date"] == "2026-01-31"
    assert first["source"] == {"url": "https://example.org/report.html", "name": "PairComp report"}
    assert first["notes"].startswith("COVERAGE 97.0%")
    assert "judge internvl2.5-8b-exact" in first["notes"]


def test_hostile_strings_stay_in_their_scalars(example: Callable[[str], Report]) -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    entries = yaml.safe_load(
        eval_results_yaml(example("hostile"), dataset_id="example/paircomp", source_url="a: b\n- c")
    )
    assert [set(entry) for entry in entries] == [{"dataset", "value", "source", "notes"}] * 2
    assert "<script>" in entries[0]["notes"]


def test_optional_fields_are_left_out(example: Callable[[str], Report]) -> None:
    text = eval_results_yaml(example("full"), dataset_id="example/paircomp")
    assert "date:" not in text
    assert "source:" not in text


def test_nothing_is_published_without_an_average(example: Callable[[str], Report]) -> None:
    with pytest.raises(ConfigError) as caught:
        eval_results_yaml(example("zero_pairs"), dataset_id="no id")
    assert len(caught.value.faults) == 3
    assert "\n" not in str(caught.value)


def test_an_average_over_a_part_of_the_suite_is_not_published(example: Callable[[str], Report]) -> None:
    with pytest.raises(ConfigError, match="average over 1 of 6 subtasks"):
        eval_results_yaml(example("one_subtask"), dataset_id="example/paircomp")


def test_each_judge_has_a_file_of_its_own(example: Callable[[str], Report]) -> None:
    assert eval_results_path(example("full")) == ".eval_results/paircomp--internvl2.5-8b-exact--k2.yaml"
    assert "/" not in eval_results_path(example("hostile")).removeprefix(".eval_results/")


def test_model_card_section(any_report: Report) -> None:
    text = model_card_section(any_report)
    assert text.startswith("## PairComp\n")
    assert "Pair-weighted mean" in text
    assert "<script" not in text.replace("\\<script", "").replace("`<script", "")
