"""What is left to do is counted, and what stands in the way is told in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from paircomp.cli import run

PLUGIN = """
from PIL import Image
from paircomp.types import Generated

class Generator:
    def __init__(self, how): self.how = how
    def generate(self, requests):
        for number, request in enumerate(requests):
            if self.how == "breaks":
                raise RuntimeError("the camera\\nis off")
            if request.key.sample:
                yield Generated(request.key, unscored="refused: no second picture")
            else:
                yield Generated(request.key, Image.new("RGB", (64, 64)))
    def close(self): ...

def breaks(*, checkpoint=None, device="cpu", dtype=None): return Generator("breaks")
def refuses(*, checkpoint=None, device="cpu", dtype=None): return Generator("refuses")
def bad(*, checkpoint=None, device="cpu", dtype=None): raise KeyError("eyes")

GENERATORS = {"breaks": breaks, "refuses": refuses}
JUDGES = {"bad": bad}
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("plugin.py").write_text(PLUGIN)


def estimated(capfd: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    capfd.readouterr()
    assert run(["eval", *options, "--plugin", "plugin.py", "--estimate", "--json"]) == 0
    said: dict[str, Any] = json.loads(capfd.readouterr().out)
    return said


def test_only_what_is_left_is_counted(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["eval", "--model", "sketch", "--limit", "6", "--no-cross"]) == 0
    part = estimated(capfd, "--model", "sketch", "--limit", "10", "--no-cross")
    assert (part["images"], part["images_left"]) == (40, 16)
    assert (part["judgements"], part["judgements_left"]) == (40, 16)
    done = estimated(capfd, "--model", "sketch", "--limit", "6", "--no-cross")
    assert (done["images_left"], done["judgements_left"], done["seconds"]) == (0, 0, 0.0)
    assert estimated(capfd, "--model", "sketch", "--limit", "6", "--cross")["judgements_left"] == 24
    assert estimated(capfd, "--model", "sketch", "--limit", "6")["partial"] is True


def test_images_refused_for_good_are_not_drawn_again(capfd: pytest.CaptureFixture[str]) -> None:
    options = ("--adapter", "refuses", "--suite", "shapes", "--limit", "2", "--no-cross")
    assert run(["eval", *options, "--plugin", "plugin.py"]) == 0
    said = estimated(capfd, *options)
    assert (said["images"], said["images_left"], said["judgements"], said["judgements_left"]) == (8, 0, 4, 0)


def test_a_part_of_the_suite_is_called_partial(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["eval", "--model", "sketch", "--limit", "6", "--estimate"]) == 0
    assert "6 of 240 (PARTIAL)" in capfd.readouterr().out


def test_unreadable_images_are_skipped(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["generate", "--model", "sketch", "--limit", "3", "--out", "drawn"]) == 0
    first, second, *_ = sorted(Path("drawn/images").iterdir())
    first.write_bytes(b"")
    second.write_bytes(b"no picture")
    said = estimated(capfd, "--images", "drawn/images", "--suite", "shapes", "--limit", "3")
    assert said["judgement_seconds"] > 0
    for image in Path("drawn/images").iterdir():
        image.write_bytes(b"")
    assert run(["eval", "--images", "drawn/images", "--suite", "shapes", "--limit", "3", "--estimate"]) == 1
    assert "none can be read" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--adapter", "breaks"], "generator 'breaks' failed on the probe: RuntimeError: the camera is off; next: "),
        (["--model", "sketch", "--judge", "bad"], "judge 'bad' cannot be made: KeyError: 'eyes'; next: "),
    ],
)
def test_what_breaks_in_the_probe_is_one_line(options: list[str], said: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["eval", *options, "--suite", "shapes", "--plugin", "plugin.py", "--estimate"]) == 1
    err = capfd.readouterr().err
    assert said in err
    assert "Traceback" not in err
