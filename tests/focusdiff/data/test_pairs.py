"""The reading side: what `focusdiff sft` and `rl` call."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from focusdiff.data.pairs import TrainingPair, read_pairs, read_prompts
from paircomp.errors import DataError
from paircomp.runtime.images import png_bytes


def red(level: int) -> bytes:
    return png_bytes(Image.new("RGB", (4, 4), (level, 0, 0)))


def cell(level: int | None) -> dict[str, object] | None:
    return None if level is None else {"bytes": red(level), "path": f"{level}.png"}


def write_parquet(path: Path, levels: list[tuple[int | None, int | None]], *, repeats: list[int] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {
        "pair_id": [f"{path.stem}-{number}" for number in range(len(levels))],
        "prompt1": [f"first {number}" for number in range(len(levels))],
        "prompt2": [f"second {number}" for number in range(len(levels))],
        "image1": [cell(first) for first, _ in levels],
        "image2": [cell(second) for _, second in levels],
        "subtask": ["color"] * len(levels),
    }
    pq.write_table(pa.table(columns | ({"repeats": repeats} if repeats else {})), path, row_group_size=3)


def shade(pair: TrainingPair, side: int) -> int:
    image = pair.load_images()[side]
    assert image is not None
    return image.getpixel((0, 0))[0]  # type: ignore[index]


def test_a_dataset_folder_is_read_by_position_across_shards_and_row_groups(tmp_path: Path) -> None:
    write_parquet(tmp_path / "data" / "train-00000.parquet", [(number, 100 + number) for number in range(7)])
    write_parquet(tmp_path / "data" / "train-00001.parquet", [(50, 150)])

    pairs = read_pairs(tmp_path)

    assert len(pairs) == 8
    assert [shade(pair, 0) for pair in pairs] == [0, 1, 2, 3, 4, 5, 6, 50]
    assert (shade(pairs[5], 1), shade(pairs[-1], 1)) == (105, 150)
    assert pairs[5].prompts == ("first 5", "second 5")
    assert pairs[7].pair_id == "train-00001-0"
    assert [pair.pair_id for pair in pairs[6:]] == ["train-00000-6", "train-00001-0"]
    with pytest.raises(IndexError):
        pairs[8]


def test_pairs_travel_to_the_workers_of_a_data_loader(tmp_path: Path) -> None:
    write_parquet(tmp_path / "data" / "train.parquet", [(number, 9) for number in range(4)])

    pairs = pickle.loads(pickle.dumps(read_pairs(tmp_path)))

    assert shade(pickle.loads(pickle.dumps(pairs[3])), 0) == 3


def test_repeated_rows_come_in_rounds_and_only_when_wanted(tmp_path: Path) -> None:
    write_parquet(tmp_path / "data" / "train.parquet", [(1, 1), (2, 2), (3, 3)], repeats=[1, 3, 2])

    assert [shade(pair, 0) for pair in read_pairs(tmp_path)] == [1, 2, 3, 2, 3, 2]
    assert [shade(pair, 0) for pair in read_pairs(tmp_path, repeated=False)] == [1, 2, 3]


def test_absent_pictures_of_a_row_are_none(tmp_path: Path) -> None:
    write_parquet(tmp_path / "some.parquet", [(1, None), (2, 3)])

    first, second = read_pairs(tmp_path / "some.parquet")

    assert first.images[1] is None
    assert not first.has_images
    assert first.load_images()[1] is None
    assert second.has_images


def test_the_published_trainers_json_is_read_with_null_images(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(red(7))
    absolute = tmp_path / "b.png"
    absolute.write_bytes(red(8))
    rows = [
        {"prompt1": "a red cat", "prompt2": "a blue cat", "image1": "images/a.png", "image2": str(absolute)},
        {"prompt1": "one", "prompt2": "two", "image1": None, "image2": None},
    ]
    (tmp_path / "train.json").write_text(json.dumps(rows))

    pairs = read_pairs(tmp_path / "train.json")

    assert (shade(pairs[0], 0), shade(pairs[0], 1)) == (7, 8)
    assert pairs[1] == TrainingPair("1", ("one", "two"))
    assert read_pairs(tmp_path)[0] == pairs[0]  # the folder that holds it


def test_a_folder_with_json_lines_is_read_with_labels(tmp_path: Path) -> None:
    line = {"pair_id": "x", "subtask": "color", "prompt1": "a", "prompt2": "b"}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(line) + "\n")

    (pair,) = read_pairs(tmp_path)

    assert pair == TrainingPair("x", ("a", "b"), subtask="color")


def test_every_fault_of_a_json_file_is_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    lines = [{"prompt1": "a"}, {"prompt1": "a", "prompt2": "b", "image1": "gone.png"}, {"text": "?"}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))

    with pytest.raises(DataError) as told:
        read_pairs(path)

    message = str(told.value)
    assert "line 1: 'prompt1' and 'prompt2': expected two texts" in message
    assert "gone.png: no such file" in message
    assert "line 3: expected 'prompt1' and 'prompt2', got text" in message


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "got none"),
        ({"a.jsonl": b"{}", "b.jsonl": b"{}"}, "got 2 of them (a.jsonl, b.jsonl)"),
        ({"data/x.parquet": b"no parquet"}, "not a parquet file"),
    ],
)
def test_a_folder_without_pairs_is_refused_in_one_line(tmp_path: Path, files: dict[str, bytes], said: str) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)

    with pytest.raises(DataError) as told:
        read_pairs(tmp_path)

    assert said in str(told.value)
    assert "\n" not in str(told.value)


def test_a_damaged_picture_is_told_with_its_place(tmp_path: Path) -> None:
    table = {"prompt1": ["a"], "prompt2": ["b"], "image1": [{"bytes": b"no picture", "path": None}]}
    pq.write_table(pa.table(table | {"image2": table["image1"]}), tmp_path / "x.parquet")

    with pytest.raises(DataError, match=r"x\.parquet: image1 of row 0 in row group 0: not an image file"):
        read_pairs(tmp_path / "x.parquet")[0].load_images()


def test_the_fingerprint_knows_prompts_and_order(tmp_path: Path) -> None:
    rows = [{"prompt1": "a", "prompt2": "b"}, {"prompt1": "c", "prompt2": "d"}]
    prints = []
    for number, kept in enumerate((rows, rows[::-1], rows)):
        (tmp_path / f"{number}.json").write_text(json.dumps(kept))
        prints.append(read_pairs(tmp_path / f"{number}.json").fingerprint())

    assert prints[0] == prints[2] != prints[1]


def test_unpaired_prompts_are_lines(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_bytes("\ufeffa red cat\r\n\n  a caf\u00e9 \n".encode())

    assert read_prompts(path) == ["a red cat", "a café"]


@pytest.mark.parametrize(("content", "said"), [(b"\n \n", "holds no prompt"), (b"caf\xe9", "expected UTF-8")])
def test_prompt_files_without_prompts_are_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "p.txt").write_bytes(content)

    with pytest.raises(DataError, match=said):
        read_prompts(tmp_path / "p.txt")
    with pytest.raises(DataError, match="No such file"):
        read_prompts(tmp_path / "gone.txt")
