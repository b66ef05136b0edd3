"""The published JSON Schema, the typed dictionaries and the example reports agree."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, get_type_hints

import jsonschema
import pytest

from paircomp.report import schema as shapes
from paircomp.report.schema import REPORT_SCHEMA, Report, report_schema


def test_the_schema_is_a_valid_draft_2020_12_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(report_schema())
    assert report_schema()["properties"]["schema"] == {"const": REPORT_SCHEMA}


def test_every_example_is_valid(any_report: Report) -> None:
    text = json.dumps(any_report, allow_nan=False)
    jsonschema.Draft202012Validator(report_schema()).validate(json.loads(text))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("average", "s_g"), 67.5),
        (("average", "s_g"), "0.67"),
        (("subtasks", "color", "ci", "s_a"), [0.1]),
        (("subtasks", "color", "pairs"), -1),
        (("schema",), "paircomp-report/2"),
        (("unscored_reading",), "drop"),
        (("contrast", "chance"), {}),
        (("worst_pairs",), [{"pair": 0}]),
    ],
)
def test_a_wrong_value_is_refused(example: Callable[[str], Report], path: tuple[str, ...], value: object) -> None:
    report: Any = example("full")
    target = report
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(report, report_schema())


def test_a_field_of_a_later_version_is_let_through(example: Callable[[str], Report]) -> None:
    report: Any = example("full")
    report["added_later"] = report["suite"]["added_later"] = 1
    jsonschema.validate(report, report_schema())


@pytest.mark.parametrize(
    ("shape", "path"),
    [
        ("Report", ()),
        ("SuiteSection", ("properties", "suite")),
        ("GeneratorSection", ("properties", "generator")),
        ("JudgeSection", ("properties", "judge")),
        ("IntervalMethod", ("properties", "interval")),
        ("Coverage", ("properties", "coverage")),
        ("Summary", ("$defs", "summary")),
        ("Reading", ("$defs", "reading")),
        ("ContrastScores", ("$defs", "contrast")),
        ("WorstPair", ("properties", "worst_pairs", "items")),
    ],
)
def test_typed_dictionaries_name_the_fields_of_the_schema(shape: str, path: tuple[str, ...]) -> None:
    part = report_schema()
    for key in path:
        part = part[key]
    assert set(get_type_hints(getattr(shapes, shape))) == set(part["properties"])
