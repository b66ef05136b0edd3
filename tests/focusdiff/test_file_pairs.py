"""Prompts of files: every pair once before any comes again, the same for the same step."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from focusdiff.data.pairs import read_pairs
from focusdiff.file_pairs import FilePairs, FilePrompts
from focusdiff.launch import training_pairs
from paircomp.errors import DataError
from tests.focusdiff.training_parts import small_recipe


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rows = []
    for place in range(5):
        for side in (1, 2):
            Image.new("RGB", (8, 8), (place, side, 0)).save(tmp_path / f"{place}_{side}.png")
        images = {"image1": f"{place}_1.png", "image2": f"{place}_2.png"} if place else {"image1": None, "image2": None}
        rows.append({"prompt1": f"{place} a", "prompt2": f"{place} b", **images})
    (tmp_path / "pairs.json").write_text(json.dumps(rows))
    return tmp_path / "pairs.json"


def test_every_pair_comes_once_before_any_comes_again(file: Path) -> None:
    source = FilePairs(read_pairs(file), seed=1)

    drawn = [pair.prompts[0] for step in range(5) for pair in source.draw(step, 2)]

    assert sorted(drawn[:5]) == sorted(drawn[5:]) == [f"{place} a" for place in range(5)]
    assert drawn[:5] != drawn[5:]


def test_a_step_draws_the_same_whatever_was_drawn_before(file: Path) -> None:
    later = FilePairs(read_pairs(file), seed=1)
    _ = [later.draw(step, 2) for step in range(7)]

    assert later.draw(3, 2) == FilePairs(read_pairs(file), seed=1).draw(3, 2)


def test_a_pair_without_pictures_has_no_ground_truth(file: Path) -> None:
    pairs = FilePairs(read_pairs(file), seed=0).draw(0, 5)

    assert {pair.prompts[0] for pair in pairs if pair.pictures is None} == {"0 a"}
    assert all(picture.size == (8, 8) for pair in pairs for picture in pair.pictures or ())


def test_prompts_without_partner_are_two_for_a_pair(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("one\ntwo\nthree\n\nfour\n")
    source = training_pairs(small_recipe(tmp_path, prompts__source=str(tmp_path / "prompts.txt")))

    assert isinstance(source, FilePrompts)
    drawn = [pair.prompts for step in range(2) for pair in source.draw(step, 1)]
    assert sorted(drawn) == [("four",), ("one",), ("three",), ("two",)]


def test_pictures_that_are_gone_are_named(file: Path) -> None:
    source = FilePairs(read_pairs(file), seed=0)
    (file.parent / "3_2.png").unlink()

    with pytest.raises(DataError, match=r"3_2\.png"):
        source.draw(0, 5)


def test_a_file_without_pairs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pairs.json").write_text("[]")

    with pytest.raises(DataError, match=r"pairs\.json"):
        training_pairs(small_recipe(tmp_path, prompts__source=str(tmp_path / "pairs.json")))
