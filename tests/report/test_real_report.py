"""A report of a real run, not of an example, meets the published schema and every renderer."""

from __future__ import annotations

import io
import json

import jsonschema
import pytest
from rich.console import Console

import paircomp
from paircomp.report.html import to_html
from paircomp.report.hub import eval_results_yaml
from paircomp.report.markdown import to_markdown
from paircomp.report.schema import Report, report_schema
from paircomp.report.tables import subtask_table
from paircomp.report.terminal import render


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    evaluated = paircomp.evaluate("sketch", suite="shapes", limit=12, out=tmp_path_factory.mktemp("run") / "sketch")
    stored: Report = json.loads(json.dumps(evaluated.report(), allow_nan=False))
    return stored


def test_it_meets_the_schema(report: Report) -> None:
    jsonschema.Draft202012Validator(report_schema()).validate(report)
    assert report["suite"]["partial"] is True
    assert report["contrast"] is not None


def test_every_renderer_takes_it(report: Report) -> None:
    s_g = f"{100 * (report['average']['s_g'] or 0):.1f}"
    console = Console(width=120, file=io.StringIO())
    console.print(render(report))
    assert isinstance(console.file, io.StringIO)
    forms = (console.file.getvalue(), to_markdown(report), to_html(report))
    assert all(s_g in form and "PARTIAL: 12 of 240 pairs" in form for form in forms)
    assert len(subtask_table(report)) == len(report["subtasks"]) + 2
    assert "12 of 240 pairs" in eval_results_yaml(report, dataset_id="example/shapes")
