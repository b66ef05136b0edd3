"""docs/data.md and the commands tell of the same things."""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from pathlib import Path

import click

from focusdiff.data.commands import data_group
from focusdiff.data.questions import SCREENING, ask

PAGE = (Path(__file__).parents[3] / "docs" / "data.md").read_text(encoding="utf-8")


def options() -> list[click.Option]:
    return [
        each for command in data_group.commands.values() for each in command.params if isinstance(each, click.Option)
    ]


def test_every_command_and_option_is_documented() -> None:
    names = {option.opts[-1] for option in options()} - {"--verbose", "--json"}

    assert [name for name in sorted(names) if f"`{name}" not in PAGE and f" {name} " not in PAGE] == []
    assert all(f"focusdiff data {name}" in PAGE for name in data_group.commands)
    assert all(option.help for option in options())


def test_every_captioner_is_documented() -> None:
    names = [point.name for point in entry_points(group="paircomp.captioners")]

    assert set(names) >= {"grammar", "source-captions", "caption-server", "image-text-captions"}
    assert [name for name in names if f"`{name}`" not in PAGE] == []


def test_every_question_says_where_it_comes_from_and_leaves_values_alone() -> None:
    text = (Path(__file__).parents[3] / "focusdiff" / "data" / "questions.json").read_text(encoding="utf-8")
    said = json.loads(text)
    questions = [question for stage in ("screen", "caption", "structure") for question in said[stage].values()]

    assert all(question["origin"] and question["text"] for question in questions)
    assert tuple(said["screen"]) == SCREENING
    asked = ask("caption", "again", instruction="{caption1}", caption1="{reason}", caption2="two", reason="why")
    assert "by this instruction: {caption1}" in asked
    assert "1. {reason} 2. two Reason: why." in asked


def test_the_group_imports_nothing_heavy() -> None:
    import subprocess
    import sys

    heavy = ("numpy", "PIL", "pyarrow", "torch")
    code = f"import sys, focusdiff.data.commands; print([name for name in {heavy} if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert ended.stdout.strip() == "[]"
