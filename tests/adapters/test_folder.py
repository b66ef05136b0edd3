"""The ``folder`` generator: pictures under names of any pattern."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from paircomp.cli import run as paircomp
from paircomp.errors import ConfigError
from paircomp.testing import PROMPTS, check_generator
from paircomp.types import Generated, GenerationRequest, ImageKey
from paircomp_adapters.folder import folder


def paint(file: Path, *, red: int = 7) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), (red, 0, 0)).save(file)


def find(path: Path, prompt: str = "a cat", **options: object) -> Generated:
    request = GenerationRequest(ImageKey(3, 1, 2), prompt, 5)
    (answer,) = folder(checkpoint=str(path), **options).generate([request])  # type: ignore[arg-type]
    return answer


def test_it_keeps_the_contract(tmp_path: Path) -> None:
    for number in range(len(PROMPTS)):
        paint(tmp_path / f"{number}_0_0.png", red=number)

    failed = [str(c) for c in check_generator(lambda: folder(checkpoint=str(tmp_path))) if c.passed is False]

    assert failed == []


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "3_1_2.png"),
        ({}, "3_1_2.jpg"),
        ({"pattern": "{pair}_{prompt}_{sample}.webp"}, "3_1_2.webp"),
        ({"pattern": "{index:05d}/samples/{sample:04d}"}, "00007/samples/0002.png"),
        ({"pattern": "{pair}-{prompt}-{sample}", "first": 1}, "4-2-3.png"),
        ({"pattern": "{text} ({sample})"}, "a cat (2).png"),
        ({"pattern": "{hash}_{sample}"}, "51e4674156077982_2.png"),
    ],
)
def test_names_of_any_pattern(tmp_path: Path, options: dict[str, object], name: str) -> None:
    paint(tmp_path / name)
    answer = find(tmp_path, **options)

    assert answer.image is not None, answer.unscored
    assert answer.metadata == {"file": name}


def test_a_prompt_names_a_file_of_the_folder_whatever_it_holds(tmp_path: Path) -> None:
    paint(tmp_path / "in" / "version 2.5_ a_b.png")
    inside = find(tmp_path / "in", prompt="version 2.5/ a/b", pattern="{text}")
    paint(tmp_path / "secret.png")
    outside = find(tmp_path / "in", prompt="../secret", pattern="{text}")

    assert inside.image is not None
    assert outside.image is None


def test_what_is_missing_or_damaged_is_named_and_looked_for_again(tmp_path: Path) -> None:
    missing = find(tmp_path)
    (tmp_path / "3_1_2.png").write_bytes(b"not a picture")
    damaged = find(tmp_path)

    assert str(missing.unscored).startswith("missing: 3_1_2 (No such file")
    assert str(damaged.unscored).startswith("unreadable: 3_1_2: not an image file")
    assert missing.retry
    assert damaged.retry


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"checkpoint": "nowhere"}, "expected a folder, got nothing at nowhere"),
        ({"checkpoint": __file__}, "expected a folder, got a file"),
        ({"checkpoint": None}, "checkpoint: expected the folder"),
        ({"first": 2}, "first: expected 0 or 1, got 2"),
        ({"pattern": "{seed}"}, "unknown {seed}, known: pair, prompt"),
        ({"pattern": "{pair"}, "expected '}'"),
        ({"pattern": "{}_{pair}"}, "unknown {}"),
        ({"pattern": "{pair:x?}"}, "Invalid format specifier"),
        ({"pattern": "{sample}.png"}, "the same file for every pair"),
    ],
)
def test_faults_are_named(tmp_path: Path, options: dict[str, object], fault: str) -> None:
    with pytest.raises(ConfigError) as refused:
        folder(**{"checkpoint": str(tmp_path), **options})  # type: ignore[arg-type]
    assert fault in str(refused.value)


def test_pictures_that_come_later_complete_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = [{"subtask": "color", "prompts": ["a red cat", "a blue cat"]}]
    (tmp_path / "suite.jsonl").write_text("\n".join(json.dumps(pair) for pair in pairs))
    paint(tmp_path / "pictures" / "a red cat-0.png")
    paint(tmp_path / "pictures" / "a red cat-1.png")
    words = [
        "generate",
        "--adapter",
        "folder",
        "--checkpoint",
        str(tmp_path / "pictures"),
        "-o",
        "pattern={text}-{sample}",
    ]
    words += ["--suite", str(tmp_path / "suite.jsonl"), "--out", str(tmp_path / "run")]

    assert paircomp(words) == 0
    assert "4 new, 2 unscored" in capsys.readouterr().err
    paint(tmp_path / "pictures" / "a blue cat-0.png")
    paint(tmp_path / "pictures" / "a blue cat-1.png")
    assert paircomp(words) == 0
    assert "2 cached, 2 new," in capsys.readouterr().err
