"""Golden renders of the terminal report; ``PAIRCOMP_UPDATE_GOLDEN=1`` rewrites them."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from paircomp.report.schema import Report
from paircomp.report.terminal import render

GOLDEN = Path(__file__).with_name("golden")


def rendered(report: Report, width: int, *, color: bool = False) -> str:
    console = Console(
        width=width, file=io.StringIO(), force_terminal=color, color_system="truecolor" if color else None
    )
    console.print(render(report))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", ["full", "low_coverage", "no_contrast", "partial", "zero_pairs", "twelve_subtasks"])
def test_golden(example: Callable[[str], Report], name: str, width: int) -> None:
    path = GOLDEN / f"{name}_{width}.txt"
    text = rendered(example(name), width)
    if os.environ.get("PAIRCOMP_UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8", newline="\n")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [40, 80, 100, 120, 200])
def test_no_line_is_wider_than_the_console(any_report: Report, width: int) -> None:
    assert max(map(len, rendered(any_report, width).splitlines())) <= width


def test_notices_come_first(any_report: Report) -> None:
    lines = rendered(any_report, 400).splitlines()
    assert [line.startswith("! ") for line in lines[: len(any_report["notices"]) + 1]] == [
        *[True] * len(any_report["notices"]),
        False,
    ]


def test_hostile_strings_stay_text(example: Callable[[str], Report]) -> None:
    plain = rendered(example("hostile"), 400)
    assert "\x1b" not in plain
    assert "\u202e" not in plain
    assert "[red]&amp;" in plain  # not read as Rich markup
    assert "\\x1b[31mred" in plain


def test_colour_changes_no_word(example: Callable[[str], Report]) -> None:
    coloured = rendered(example("low_coverage"), 120, color=True)
    bare = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    words = [line.split() for line in bare.splitlines()]
    assert words == [line.split() for line in rendered(example("low_coverage"), 120).splitlines()]
    assert coloured != bare


def test_rendering_loads_no_numpy_and_no_pandas() -> None:
    code = (
        "import sys, paircomp.report.terminal, paircomp.report.html, paircomp.report.markdown, paircomp.report.tables,"
        "paircomp.report.hub, paircomp.report.every_eval_ever;"
        "sys.exit(', '.join({'numpy', 'pandas', 'scipy', 'PIL', 'torch'} & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
