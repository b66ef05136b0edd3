"""Records that are whole JSON and yet damaged count as never written."""

from typing import Any

import numpy as np
import pytest

from paircomp.run_store import ImageIndex, ImageState, JudgementTable
from tests.parts import small_suite

IMAGE: dict[str, Any] = {"pair": 0, "prompt": 0, "sample": 0, "sha256": "00000000000000ff" * 4, "bytes": 9}
JUDGED: dict[str, Any] = {"pair": 0, "prompt": 0, "sample": 0, "judged_prompt": 1, "image": "ff", "score": 0.5}


def without(record: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != name}


@pytest.mark.parametrize(
    "record",
    [{}, without(IMAGE, "pair"), without(IMAGE, "sha256"), without(IMAGE, "bytes"),
     *(IMAGE | change for change in ({"pair": -1}, {"pair": "0"}, {"pair": True}, {"sample": 0.0}, {"prompt": None},
                                     {"sha256": 7}, {"sha256": "no hex"}, {"bytes": "9"}, {"bytes": 1 << 70},
                                     {"modified": "now"})),
     without(IMAGE, "sha256") | {"unscored": 3}],
)  # fmt: skip
def test_a_damaged_image_record_is_counted_and_left_out(record: dict[str, Any]) -> None:
    index = ImageIndex(small_suite()).read([record])
    assert (index.dropped, int(index.state.sum())) == (1, ImageState.ABSENT)
    assert index.reasons == {}
    index.read([record, IMAGE])
    assert (index.dropped, index.state[0, 0, 0], index.tag[0, 0, 0]) == (1, ImageState.DRAWN, 255)


@pytest.mark.parametrize(
    "record",
    [{}, without(JUDGED, "image"), without(JUDGED, "score"), without(JUDGED, "judged_prompt"),
     *(JUDGED | change for change in ({"judged_prompt": -1}, {"pair": -4}, {"sample": "0"}, {"image": 255},
                                      {"image": "xyz"}, {"score": "high"}, {"score": True}, {"score": 2},
                                      {"score": float("nan")}, {"log_yes": "a", "log_no": 1})),
     without(JUDGED, "score") | {"unscored": None}],
)  # fmt: skip
def test_a_damaged_judgement_record_is_counted_and_left_out(record: dict[str, Any]) -> None:
    images = ImageIndex(small_suite()).read([IMAGE])
    table = JudgementTable(images).read([record])
    assert (table.dropped, int(table.state.sum()), table.reasons) == (1, 0, {})
    assert np.isnan(table.scores).all()
    table.read([JUDGED])
    assert (table.dropped, table.scores[0, 0, 0, 1]) == (0, 0.5)


def test_records_beyond_the_suite_are_no_damage() -> None:
    index = ImageIndex(small_suite()).read([IMAGE | {"pair": 4}, IMAGE])
    table = JudgementTable(index).read([JUDGED | {"pair": 4}, JUDGED | {"image": "fe"}])
    assert (index.dropped, table.dropped) == (0, 0)
