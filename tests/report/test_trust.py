"""Held-out judge and calibration in every form of the report: complete, safe, and left out where there is none."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import cache
from typing import Any

import jsonschema
import pytest
from rich.console import Console

from paircomp.calibration import calibrate, embedded_controls
from paircomp.judges.pixels import PixelsJudge
from paircomp.report.html import calibration_to_html, to_html
from paircomp.report.markdown import to_markdown
from paircomp.report.page_trust import reliability_plot
from paircomp.report.schema import Report, report_schema
from paircomp.report.terminal import render
from paircomp.report.trust import trust_panels
from tests.report.test_html import Page, body

HOSTILE = "<script>alert(1)</script>|[bold]\x1b[31m"


@cache
def _calibration() -> str:
    found = calibrate(PixelsJudge(), embedded_controls(1), name="pixels", identity={"rules": 1},
                      against=("pixels", PixelsJudge(), {}))  # fmt: skip
    return json.dumps(found)


def two(judge: float, held_out: float) -> dict[str, Any]:
    return {"judge": judge, "held_out": held_out, "difference": judge - held_out, "ci": [0.01, 0.3]}


@pytest.fixture
def trusted(example: Callable[[str], Report]) -> Report:
    """The full example, with a second opinion and a calibration."""
    report: Any = copy.deepcopy(example("full"))
    line = {"pairs": 40, "s_a": two(0.8, 0.7), "s_g": two(0.75, 0.62)}
    report["held_out"] = {
        "trained_with_judge": "pixels", "judge": "strict", "identity": {}, "problem": None,
        "subtasks": dict.fromkeys(report["subtasks"], line), "average": line,
    }  # fmt: skip
    report["calibration"] = json.loads(_calibration())
    jsonschema.validate(report, report_schema())
    typed: Report = report
    return typed


def in_terminal(report: Report) -> str:
    console = Console(width=140, color_system=None, force_terminal=False)
    with console.capture() as captured:
        console.print(render(report))
    return captured.get()


def test_all_forms_show_the_second_opinion_and_the_calibration(trusted: Report) -> None:
    for form in (in_terminal(trusted), to_markdown(trusted), to_html(trusted)):
        for words in ("Held-out judge", "strict", "+13.0", "+1.0 to +30.0", "Accuracy of judge pixels", "AUC"):
            assert words in form
    for form in (to_markdown(trusted), to_html(trusted)):
        for words in ("one word different", "prompt reworded", "Agreement with judge pixels"):
            assert words in form
    assert "prompt reworded" not in in_terminal(trusted)


def test_the_page_stays_well_formed(trusted: Report) -> None:
    page = Page(to_html(trusted))
    labels = [attributes["aria-label"] for tag, attributes in page.elements if attributes.get("role") == "img"]
    assert any(label.startswith("Reliability: ") for label in labels)
    Page(calibration_to_html(trusted["calibration"]))


def test_strings_of_a_calibration_are_text_everywhere(trusted: Report) -> None:
    report: Any = trusted
    calibration = report["calibration"]
    report["held_out"]["problem"] = report["held_out"]["judge"] = HOSTILE
    calibration["warnings"] = [HOSTILE]
    calibration["judge"] = {"name": HOSTILE, "identity": {HOSTILE: HOSTILE}}
    calibration["controls"][0]["control"] = calibration["sensitivity"][0]["change"] = HOSTILE
    calibration["agreement"]["controls"]["disagreements"][0]["image"] = HOSTILE
    for page in (to_html(report), calibration_to_html(calibration)):
        assert "<script" not in body(page)
        assert "\x1b" not in page
        Page(page)
    assert "<script>" not in to_markdown(report)
    assert "\x1b" not in in_terminal(report)
    assert "[bold]" in in_terminal(report)


def test_a_missing_second_opinion_says_why(trusted: Report) -> None:
    report: Any = trusted
    report["held_out"] |= {"average": None, "subtasks": {}, "problem": "no weights here"}
    for form in (in_terminal(report), to_markdown(report), to_html(report)):
        assert "no second opinion: no weights here" in form


def test_nothing_is_shown_where_there_is_nothing(example: Callable[[str], Report]) -> None:
    assert trust_panels(example("full")) == []
    assert reliability_plot([{"low": 0.0, "high": 1.0, "items": 0, "score": None, "yes": None}]) is None
