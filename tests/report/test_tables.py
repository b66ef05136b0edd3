"""The score table as a frame and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

import pandas as pd

from paircomp.report.schema import Report
from paircomp.report.tables import csv_text, subtask_table, to_csv


def test_csv_holds_the_report_to_the_last_bit(example: Callable[[str], Report]) -> None:
    report = example("full")
    lines = {(line["kind"], line["subtask"]): line for line in csv.DictReader(io.StringIO(to_csv(report)))}
    assert len(lines) == 8
    for name, summary in report["subtasks"].items():
        line, bounds = lines["subtask", name], summary["ci"]["s_g"]
        assert bounds is not None
        assert float(line["s_g"]) == summary["s_g"]
        assert (float(line["s_g_low"]), float(line["s_g_high"])) == tuple(bounds)
        assert int(line["pairs"]) == summary["pairs"]
    assert float(lines["average", ""]["full_pass"]) == report["average"]["full_pass"]


def test_a_missing_value_is_empty_and_never_zero(example: Callable[[str], Report]) -> None:
    report = example("zero_pairs")
    frame = subtask_table(report).set_index(["kind", "subtask"])
    text = frame.loc[("subtask", "text")]
    assert text["pairs"] == 0
    assert pd.isna(text["s_a"])
    assert pd.isna(text["contrast_group"])
    assert text["unscored"] == 200
    line = next(line for line in csv.DictReader(io.StringIO(to_csv(report))) if line["subtask"] == "text")
    assert (line["s_a"], line["s_a_low"]) == ("", "")


def test_frames_of_runs_can_be_stacked(any_report: Report, example: Callable[[str], Report]) -> None:
    frame = pd.concat([subtask_table(any_report), subtask_table(example("full"))])
    assert {"model", "suite", "suite_digest", "judge", "samples", "unscored_reading"} <= set(frame.columns)
    assert frame["pairs"].dtype == "Int64"


def test_contrast_columns_are_there_only_with_contrast(example: Callable[[str], Report]) -> None:
    assert "contrast_text" in subtask_table(example("full"))
    assert "contrast_text" not in subtask_table(example("no_contrast"))


def test_no_text_is_a_formula_to_a_spreadsheet(example: Callable[[str], Report]) -> None:
    report = example("hostile")
    report["generator"]["model"] = "@SUM(1,2)"
    lines = list(csv.DictReader(io.StringIO(to_csv(report))))
    assert {line["model"] for line in lines} == {"'@SUM(1,2)"}
    assert "'=1+1" in {line["subtask"] for line in lines}
    frame = pd.DataFrame({"text": ["=a", "+a", "-a", "@a", "\ta", "\ra", "a\r=b", None], "number": [-1.5, *range(7)],
                          "-head": ["a"] * 8})  # fmt: skip
    back = pd.read_csv(io.StringIO(csv_text(frame)))
    assert back.columns.tolist() == ["text", "number", "'-head"]
    assert back["text"].tolist()[:7] == ["'=a", "'+a", "'-a", "'@a", "'\ta", "'\na", "a\n=b"]
    assert back["number"].tolist() == frame["number"].tolist()
