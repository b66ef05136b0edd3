"""Edits of data sets in their published columns, of JSON files, and streamed."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from focusdiff.data.inspecting import record_verdicts
from focusdiff.data.pairs import read_pairs
from focusdiff.data.records import EditRecord, Source
from focusdiff.data.shapes.source import shapes_source
from focusdiff.data.sources import limited, open_source
from paircomp.errors import ConfigError, DataError
from tests.focusdiff.data.parts import build

ULTRAEDIT_PICTURES, ANYEDIT_PICTURES = ("source_image", "edited_image"), ("image_file", "edited_file", "visual_input")
EDITS = [record for block in shapes_source(records=12, spoilt=0.0).blocks() for record in block.records()]


def cell(content: bytes | None) -> dict[str, Any]:
    return {"bytes": content, "path": None}


def ultraedit(folder: Path, edits: list[EditRecord] = EDITS, *, group: int = 1000) -> Path:
    """A file with the columns of the data set's card."""
    similarities = ("clip_sim_source", "clip_sim_target", "clip_sim_dir", "clip_sim_image", "dinov2_sim", "ssim")
    columns: dict[str, Any] = {
        **{name: [0.5] * len(edits) for name in similarities},
        "source_caption": [edit.captions[0] for edit in edits],
        "target_caption": [edit.captions[1] for edit in edits],
        "idx": [100 + number for number in range(len(edits))],
        "edit_prompt": [edit.instruction for edit in edits],
        "edit_object": pa.nulls(len(edits)),
        "source_image": [cell(edit.before) for edit in edits],
        "edited_image": [cell(edit.after) for edit in edits],
        "mask_image": pa.nulls(len(edits)),
    }
    folder.mkdir(parents=True, exist_ok=True)
    write(pa.table(columns), folder / "FreeForm-00000-of-00001.parquet", pictures=ULTRAEDIT_PICTURES, group=group)
    return folder


def anyedit(folder: Path) -> Path:
    """The same; of four rows two need a third picture."""
    kinds = ["color_alter", "visual_sketch", "counting", "visual_material_transfer"]
    shown = [kinds[number % 4] for number in range(len(EDITS))]
    columns = {
        "image_id": [f"id{number}" for number in range(len(EDITS))],
        "edit_instruction": [edit.instruction for edit in EDITS],
        "edit_type": shown,
        "image_file": [cell(edit.before) for edit in EDITS],
        "edited_file": [cell(edit.after) for edit in EDITS],
        "visual_input": [cell(EDITS[0].before) if "visual" in kind else None for kind in shown],
        "input": [edit.captions[0] for edit in EDITS],
        "output": [edit.captions[1] for edit in EDITS],
    }
    folder.mkdir(parents=True)
    for number in range(2):
        table = pa.table(columns).slice(6 * number, 6)
        write(table, folder / f"train-{number:05d}-of-00002.parquet", pictures=ANYEDIT_PICTURES)
    return folder


def write(table: pa.Table, path: Path, *, pictures: tuple[str, ...], group: int = 1000) -> None:
    """As the hub's library writes it: it says in the file which columns are pictures."""
    kinds = {"double": "float64", "int64": "int64", "null": "null"}
    features = {
        field.name: {"_type": "Image"} if field.name in pictures
        else {"dtype": kinds.get(str(field.type), "string"), "_type": "Value"}
        for field in table.schema
    }  # fmt: skip
    said = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(said), path, row_group_size=group)


def read(source: Source) -> list[EditRecord]:
    return [record for block in source.blocks() for record in pickle.loads(pickle.dumps(block)).records()]


def test_ultraedit_is_read_in_its_published_columns(tmp_path: Path) -> None:
    records = read(open_source(f"ultraedit:{ultraedit(tmp_path)}", {}))

    assert [record.before for record in records] == [edit.before for edit in EDITS]
    assert records[3].instruction == EDITS[3].instruction
    assert records[3].captions == EDITS[3].captions
    assert records[3].licence == "CC-BY-4.0"
    assert records[3].origin == "UltraEdit, FreeForm-00000-of-00001.parquet, row 3, id 103"
    assert records[3].record_id == "ultraedit-3"


def test_anyedit_leaves_out_what_needs_a_third_picture(tmp_path: Path) -> None:
    records = read(open_source(f"anyedit:{anyedit(tmp_path / 'any')}", {}))
    options = ("--screener", "none", "--captioner", "source-captions", "--verifier", "pixels", "--json")
    funnel = json.loads(build(tmp_path / "out", *options, source=f"anyedit:{tmp_path / 'any'}"))

    assert [bool(record.skipped) for record in records[:4]] == [False, True, False, True]
    assert records[2].edit_type == "counting"
    assert records[2].origin == "AnyEdit, train-00000-of-00002.parquet, row 2, id id2"
    assert funnel["stages"][0]["reasons"] == {
        "skipped: edit type visual_material_transfer needs a third picture": 3,
        "skipped: edit type visual_sketch needs a third picture": 3,
    }
    assert funnel["licences"] == {"CC-BY-4.0": funnel["pairs"]}


def test_blocks_are_cut_within_row_groups_and_read_in_any_order(tmp_path: Path) -> None:
    many = [record for block in shapes_source(records=600, spoilt=0.0).blocks() for record in block.records()]
    source = open_source(f"ultraedit:{ultraedit(tmp_path, many, group=520)}", {})
    blocks = list(source.blocks())

    assert [(block.number, block.start, block.size) for block in blocks] == [
        (0, 0, 256), (1, 256, 256), (2, 512, 8), (3, 520, 80),
    ]  # fmt: skip
    for block in reversed(blocks):
        found = [record.before for record in block.records()]
        assert found == [record.before for record in many[block.start : block.start + block.size]]
    assert blocks[3].records().__next__().origin.endswith("row 520, id 620")  # type: ignore[attr-defined]


def test_a_record_is_found_whatever_the_row_groups(tmp_path: Path) -> None:
    options = ("--screener", "none", "--captioner", "source-captions", "--verifier", "pixels")
    build(tmp_path / "out", *options, source=f"ultraedit:{ultraedit(tmp_path / 'in', group=5)}")

    assert [record_verdicts(tmp_path / "out", f"ultraedit-{number}")["record"] for number in (4, 5, 11)] == [4, 5, 11]


def test_a_limit_ends_within_a_block(tmp_path: Path) -> None:
    whole = open_source("shapes", {"records": 600})

    assert [block.size for block in limited(whole, 300).blocks()] == [256, 44]
    assert read(limited(whole, 300)) == read(whole)[:300]
    assert limited(whole, None) is whole


def test_columns_that_are_missing_are_all_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"edit_prompt": ["x"]}), tmp_path / "a.parquet")

    with pytest.raises(DataError, match=r"no column source_image; got edit_prompt; .*no column edited_image"):
        open_source(f"ultraedit:{tmp_path}", {})
    with pytest.raises(DataError, match="no parquet file of AnyEdit here"):
        open_source(f"anyedit:{tmp_path / 'none'}", {})
    with pytest.raises(ConfigError, match=r"'a.txt': expected shapes, .*; next: give unpaired prompts with --prom"):
        open_source("a.txt", {})
    with pytest.raises(ConfigError, match="licence: expected str"):
        open_source(f"ultraedit:{tmp_path}", {"licence": 3})


def test_a_stream_gives_what_the_files_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library reads a folder laid out as on the hub by the code with which it reads the hub."""
    pytest.importorskip("datasets")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    place = ultraedit(tmp_path / "ultra" / "data").parent
    streamed = open_source("ultraedit", {"repository": str(place)})

    records = read(streamed)

    assert [(each.before, each.captions) for each in records] == [(edit.before, edit.captions) for edit in EDITS]
    assert records[3].origin == "ultra, FreeForm, row 3, id 103"
    assert [block.size for block in streamed.blocks()] == [12]


def test_chosen_files_of_a_stream_are_built_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AnyEdit is ordered by edit type and begins with those that are skipped."""
    pytest.importorskip("datasets")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    place = anyedit(tmp_path / "any" / "data").parent
    parts = ("--screener", "none", "--captioner", "source-captions", "--verifier", "pixels", "--json")
    stream = ("-o", f"source.repository={place}", "-o", "source.files=data/train-00001*")
    funnel = json.loads(build(tmp_path / "out", *parts, *stream, source="anyedit"))

    assert funnel["records"] == 6
    assert sum(funnel["stages"][0]["reasons"].values()) == 3
    assert funnel["identity"]["source"]["files"] == "data/train-00001*"
    assert funnel["pairs"] >= 1
    with pytest.raises(DataError, match=r"cannot be streamed: .*; next: fetch its parquet files"):
        read(open_source("anyedit", {"repository": str(place), "split": "none"}))


def test_the_published_trainers_json_is_a_source_and_null_images_are_told(tmp_path: Path) -> None:
    for number, edit in enumerate(EDITS):
        (tmp_path / f"{number}a.png").write_bytes(edit.before or b"")
        (tmp_path / f"{number}b.png").write_bytes(edit.after or b"")
    rows: list[dict[str, Any]] = [
        {
            "prompt1": edit.captions[0],
            "prompt2": edit.captions[1],
            "image1": f"{number}a.png",
            "image2": f"{number}b.png",
        }
        for number, edit in enumerate(EDITS)
    ]
    rows.append({"prompt1": "a", "prompt2": "b", "image1": None, "image2": None})
    (tmp_path / "train.json").write_text(json.dumps(rows))
    options = ("--screener", "none", "--captioner", "source-captions", "--verifier", "pixels", "--json")
    funnel = json.loads(build(tmp_path / "out", *options, source=str(tmp_path / "train.json")))

    assert funnel["stages"][0]["reasons"] == {"picture before: the source has no picture": 1}
    assert funnel["pairs"] == len(read_pairs(tmp_path / "out", repeated=False)) >= 10


def test_a_folder_with_json_lines_is_a_source(tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(EDITS[0].before or b"")
    line = {"id": "x", "before": "b.png", "after": "b.png", "instruction": "do", "license": "MIT", "edit_type": "color"}
    (tmp_path / "edits.jsonl").write_text(json.dumps(line) + "\n")

    (record,) = read(open_source(str(tmp_path), {}))

    assert (record.record_id, record.instruction, record.licence, record.edit_type) == ("x", "do", "MIT", "color")
    assert record.before == EDITS[0].before
    (tmp_path / "edits.jsonl").write_text(json.dumps(line | {"after": "gone.png"}) + "\n" + json.dumps(line) + "\n")
    with pytest.raises(DataError, match=r"line 1: image gone.png: no such file; line 2: id 'x' is given twice"):
        open_source(str(tmp_path), {})


def test_a_record_is_found_by_the_sources_own_label_whatever_number_it_ends_with(tmp_path: Path) -> None:
    rows = []
    for number, label in enumerate(("cat-1", "cat-0", "7", "plain")):
        edit = EDITS[number]
        (tmp_path / f"{number}a.png").write_bytes(edit.before or b"")
        (tmp_path / f"{number}b.png").write_bytes(edit.after or b"")
        rows.append({"id": label, "before": f"{number}a.png", "after": f"{number}b.png", "prompt1": edit.captions[0],
                     "prompt2": edit.captions[1], "instruction": edit.instruction})  # fmt: skip
    (tmp_path / "edits.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ("--screener", "none", "--captioner", "source-captions", "--verifier", "pixels")
    build(tmp_path / "out", *options, source=str(tmp_path / "edits.jsonl"))

    found = {label: record_verdicts(tmp_path / "out", label)["record"] for label in ("cat-1", "cat-0", "7", "plain")}
    assert found == {"cat-1": 0, "cat-0": 1, "7": 2, "plain": 3}
    assert record_verdicts(tmp_path / "out", "2")["record"] == 2
    for absent in ("cat-2", "9", "dog"):
        with pytest.raises(DataError, match=f"record '{absent}': nothing was said of it"):
            record_verdicts(tmp_path / "out", absent)
