"""Part files: their union is read, later records win, torn lines never existed."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paircomp.errors import RunError
from paircomp.run_store import ImageIndex, JudgementTable, RecordFolder
from paircomp.runtime.shards import Shard
from tests.parts import small_suite

SCHEMA = "test/1"


def folder(path: Path) -> RecordFolder:
    return RecordFolder(path, schema=SCHEMA)


def write(path: Path, *records: dict[str, int]) -> Path:
    with folder(path).writer() as writer:
        for record in records:
            writer.write(record)
    return folder(path).parts()[-1]


def test_parts_are_read_in_the_order_they_were_opened(tmp_path: Path) -> None:
    write(tmp_path, {"a": 1}, {"a": 2})
    write(tmp_path, {"a": 3})
    assert [record["a"] for record in folder(tmp_path).read()] == [1, 2, 3]
    assert len(folder(tmp_path).parts()) == 2


def test_no_folder_means_no_records(tmp_path: Path) -> None:
    assert list(folder(tmp_path / "absent").read()) == []


@given(cut=st.integers(min_value=0, max_value=60))
def test_a_torn_end_loses_only_the_torn_record(cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("records")
    part = write(path, {"a": 1}, {"a": 2}, {"a": 3})
    whole = part.read_bytes()
    part.write_bytes(whole[: max(0, len(whole) - cut)])
    store = folder(path)
    values = [record["a"] for record in store.read()]
    assert values == list(range(1, 1 + len(values)))
    lines = part.read_bytes().count(b"\n")
    assert len(values) == max(0, lines - 1)
    assert store.dropped == (not part.read_bytes().endswith(b"\n") and part.stat().st_size > 0)


def test_a_damaged_line_in_the_middle_is_counted_and_left_out(tmp_path: Path) -> None:
    part = write(tmp_path, {"a": 1}, {"a": 2})
    lines = part.read_bytes().splitlines(keepends=True)
    part.write_bytes(lines[0] + b'{"a": \x00\x00\n' + b"[1]\n" + lines[2])
    store = folder(tmp_path)
    assert [record["a"] for record in store.read()] == [2]
    assert store.dropped == 2


def test_a_part_of_another_schema_is_refused(tmp_path: Path) -> None:
    part = write(tmp_path, {"a": 1})
    part.write_text(json.dumps({"schema": "test/9"}) + "\n")
    with pytest.raises(RunError, match=r"expected records of test/1, got 'test/9'"):
        list(folder(tmp_path).read())


def test_writers_never_share_a_part(tmp_path: Path) -> None:
    with folder(tmp_path).writer(shard=Shard(0, 2)) as first, folder(tmp_path).writer(shard=Shard(1, 2)) as second:
        first.write({"a": 1})
        second.write({"a": 2})
    assert sorted(record["a"] for record in folder(tmp_path).read()) == [1, 2]


def test_nan_never_reaches_a_file(tmp_path: Path) -> None:
    with folder(tmp_path).writer() as writer, pytest.raises(ValueError, match="JSON"):
        writer.write({"a": float("nan")})
    assert list(folder(tmp_path).read()) == []


def test_a_record_is_in_the_file_as_soon_as_it_is_written(tmp_path: Path) -> None:
    with folder(tmp_path).writer() as writer:
        writer.write({"a": 1})
        assert [record["a"] for record in folder(tmp_path).read()] == [1]


def test_a_later_judgement_without_log_masses_forgets_the_earlier_ones() -> None:
    index = ImageIndex(small_suite(1))
    place = {"pair": 0, "prompt": 0, "sample": 0, "judged_prompt": 0, "image": "0"}
    table = JudgementTable(index).read([{**place, "score": 0.5, "log_yes": -0.1, "log_no": -2.0}])
    assert table.log_odds[0, 0, 0, 0] == pytest.approx(1.9)
    table.read([{**place, "score": 0.25}])
    assert table.scores[0, 0, 0, 0] == 0.25
    assert np.isnan(table.log_odds[0, 0, 0, 0])
