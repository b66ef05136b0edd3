"""The embedded world as a source of edits: what is drawn, said and measured of it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from focusdiff.data.captions import CaptionRequest
from focusdiff.data.shapes.captions import grammar
from focusdiff.data.shapes.instructions import read_instruction, write_instruction
from focusdiff.data.shapes.screening import screen_pixels
from focusdiff.data.shapes.source import SPOILS, draw_edit, shapes_source
from paircomp.errors import ConfigError
from paircomp.shapes import Dice, canonical, edits, parse_prompt, sample_pair
from paircomp.suites.shapes_suites import is_held_out
from paircomp.types import Subtask

DRAWN = [draw_edit(Dice(f"test {number}"), spoilt=0.5) for number in range(400)]


def test_a_stated_share_is_spoilt_in_four_ways() -> None:
    spoilt = Counter(edit.spoilt for edit in DRAWN)

    assert set(spoilt) == {"", *SPOILS}
    assert 0.42 < 1 - spoilt[""] / len(DRAWN) < 0.58
    assert min(spoilt[name] for name in SPOILS) > 30
    assert not any(edit.spoilt for edit in (draw_edit(Dice(str(number)), spoilt=0) for number in range(50)))


def test_what_is_spoilt_is_what_it_says() -> None:
    for edit in DRAWN:
        same = np.array_equal(*edit.pixels)
        as_wanted = canonical(edit.shown) == canonical(edit.wanted)
        assert same == (edit.spoilt == "no change")
        assert as_wanted == (edit.spoilt in ("", "noise"))


def test_no_picture_of_a_held_out_suite_is_drawn() -> None:
    assert not any(is_held_out(scene) for edit in DRAWN for scene in (edit.before, edit.wanted, edit.shown))


def test_a_record_depends_on_seed_and_position_alone() -> None:
    few, many = shapes_source(records=3), shapes_source(records=300)

    first = [record for block in few.blocks() for record in block.records()]
    again = [record for block in many.blocks() for record in block.records()]
    other = next(next(shapes_source(records=1, seed=1).blocks()).records())

    assert first == again[:3]
    assert [record.position for record in again] == list(range(300))
    assert len({record.record_id for record in again}) == 300
    assert other.before != first[0].before
    assert {record.licence for record in again} == {"Apache-2.0"}


@pytest.mark.parametrize("subtask", list(Subtask))
def test_instructions_read_back_as_what_they_demand(subtask: Subtask) -> None:
    dice = Dice(str(subtask))
    for _ in range(30):
        before, after = sample_pair(dice, subtask)
        text = write_instruction(before, after, subtask)
        demand = read_instruction(text)

        assert demand is not None, text
        assert demand.subtask == subtask
        others = [scene for scene in edits(before, subtask) if scene != after]
        assert text not in [write_instruction(before, scene, subtask) for scene in others], text


def test_foreign_words_are_no_instruction() -> None:
    for text in ("", "make it nicer", "make the red circle blue and small", "turn the red dog into a square"):
        assert read_instruction(text) is None


def test_screening_by_pixels_tells_sound_from_spoilt() -> None:
    for edit in DRAWN:
        answers = screen_pixels(*edit.pixels, write_instruction(edit.before, edit.wanted, edit.subtask))

        assert all(answers.values()) == (not edit.spoilt), (edit, answers)


def test_screening_says_which_question_failed() -> None:
    by_kind = {edit.spoilt: edit for edit in DRAWN}

    def asked(kind: str) -> dict[str, bool | None]:
        edit = by_kind[kind]
        return screen_pixels(*edit.pixels, write_instruction(edit.before, edit.wanted, edit.subtask))

    assert asked("no change")["follows"] is False
    assert asked("no change")["natural"] is True
    assert screen_pixels(*by_kind[""].pixels, "make it nicer") == {"follows": None, "preserves": None, "natural": True}


def test_the_grammar_captions_both_pictures_alike() -> None:
    captioner = grammar()
    for record in next(shapes_source(records=80, spoilt=0.0).blocks()).records():
        request = CaptionRequest(record.position, record.images(), record.instruction)
        (said,) = captioner.caption([request])
        (again,) = captioner.caption([CaptionRequest(record.position, record.images(), "", attempt=1)])

        assert said.captions is not None
        first, second = said.captions
        assert sum(a != b for a, b in zip(first.split(), second.split(), strict=True)) == 1, said
        assert again.captions is not None
        assert parse_prompt(again.captions[0]) == parse_prompt(first)
        assert again.captions[0] != first


def test_the_grammar_says_what_it_cannot_read() -> None:
    from PIL import Image

    blank = Image.new("RGB", (32, 32), (244, 244, 240))
    (said,) = grammar().caption([CaptionRequest(0, (blank, blank), "")])

    assert said.captions is None
    assert said.unscored == "the picture before is none of the shapes world"


def test_options_of_the_source_are_checked_at_once() -> None:
    with pytest.raises(ConfigError, match=r"records: .*; spoilt: expected a share in \[0, 1\], got 2"):
        shapes_source(records=0, spoilt=2)
