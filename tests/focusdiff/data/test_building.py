"""Building end to end on the embedded world: verdicts, regeneration, resuming, and the folder that comes out."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from focusdiff.data.inspecting import record_verdicts
from focusdiff.data.pairs import read_pairs
from focusdiff.data.shapes.source import shapes_source
from paircomp.errors import ConfigError, DataError, RunError, RunMismatchError
from tests.focusdiff.data.parts import build, plugin, run


def contents(folder: Path) -> dict[str, str]:
    """Digest of every finished file."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "build" not in path.relative_to(folder).parts
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "pairs"
    build(out, "--guard", "shapes")
    return out


def truths(records: int) -> dict[str, str | None]:
    return {
        record.record_id: record.truth
        for block in shapes_source(records=records).blocks()
        for record in block.records()
    }


def test_what_is_kept_is_what_was_sound(built: Path) -> None:
    truth = truths(60)
    kept = {pair.pair_id for pair in read_pairs(built, repeated=False)}
    left_out = json.loads((built / "funnel.json").read_text())["stages"][-2:]

    assert all(truth[name] == "" for name in kept)
    assert len(kept) + sum(sum(stage["reasons"].values()) for stage in left_out) == list(truth.values()).count("")


def test_the_funnel_adds_up(built: Path) -> None:
    funnel = json.loads((built / "funnel.json").read_text())

    entered = funnel["records"]
    for stage in funnel["stages"]:
        assert stage["entered"] == entered
        entered = stage["left"]
        assert stage["entered"] == stage["left"] + sum(stage["reasons"].values())
    assert funnel["pairs"] == entered == sum(said["pairs"] for said in funnel["subtasks"].values())
    assert funnel["rows"] == len(read_pairs(built))
    assert funnel["open"] == 0
    assert funnel["licences"] == {"Apache-2.0": funnel["pairs"]}


def test_each_image_is_that_of_its_own_prompt(built: Path) -> None:
    from paircomp.judges.pixels import pixels
    from paircomp.types import ImageKey, JudgeRequest, Question

    for number, pair in enumerate(read_pairs(built, repeated=False)):
        questions = tuple(Question(place, prompt, "") for place, prompt in enumerate(pair.prompts))
        for side, image in enumerate(pair.load_images()):
            assert image is not None
            asked = JudgeRequest(ImageKey(number, side, 0), (image,), questions)
            scores = {said.judged_prompt: said.score or 0 for said in pixels().judge([asked])}
            assert scores[side] > 0.5 > scores[1 - side]


def test_the_published_trainers_json_lies_beside(built: Path) -> None:
    pairs = read_pairs(built / "trainer" / "pairs.json")
    rows = json.loads((built / "trainer" / "pairs.json").read_text())

    assert len(pairs) == len(read_pairs(built))
    assert {"prompt1", "prompt2", "image1", "image2"} <= set(rows[0])
    assert pairs[0].load_images()[0] == read_pairs(built)[0].load_images()[0]


def test_the_hub_reads_the_folder(built: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    loaded = datasets.load_dataset(str(built), split="train", streaming=True)
    row = next(iter(loaded))

    assert type(loaded.features["image1"]).__name__ == "Image"
    assert row["image1"].size == (32, 32)
    assert row["prompt1"] != row["prompt2"]


def test_the_card_says_what_was_dropped_and_why(built: Path) -> None:
    card = (built / "README.md").read_text()

    assert "\nlicense: apache-2.0\n" in card.split("---")[1]
    assert "| screen | does not follow the instruction |" in card
    assert "data/train-*.parquet" in card


def test_a_second_command_asks_nothing_and_changes_nothing(built: Path) -> None:
    before = contents(built)
    parts = sorted((built / "build" / "verdicts").rglob("part-*"))
    build(built, "--guard", "shapes")

    assert contents(built) == before
    assert sorted((built / "build" / "verdicts").rglob("part-*")) == parts


def test_a_larger_limit_continues_to_the_same_data(built: Path, tmp_path: Path) -> None:
    build(tmp_path / "out", "--guard", "shapes", "--limit", 25)
    build(tmp_path / "out", "--guard", "shapes")

    assert contents(tmp_path / "out") == contents(built)


def test_stages_one_at_a_time_give_the_same_data(built: Path, tmp_path: Path) -> None:
    for stage in ("screen", "caption"):
        assert build(tmp_path / "out", "--guard", "shapes", "--until", stage) == ""
        assert not (tmp_path / "out" / "data").exists()
    build(tmp_path / "out", "--guard", "shapes")

    assert contents(tmp_path / "out") == contents(built)


def test_torn_verdicts_are_done_again(built: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(out, "--guard", "shapes", "--until", "screen")
    (part,) = (out / "build" / "verdicts").rglob("part-*")
    part.write_bytes(part.read_bytes()[:-200])  # as a kill leaves it: the last lines gone, one of them torn
    build(out, "--guard", "shapes")

    assert contents(out) == contents(built)


def test_other_settings_are_refused(built: Path) -> None:
    with pytest.raises(RunMismatchError, match=r"source\.seed: stored 0, given 1"):
        build(built, "-o", "source.seed=1")
    with pytest.raises(RunMismatchError, match="aligned"):
        build(built, "--aligned", 0.7)


def test_what_has_decided_nothing_yet_may_be_replaced(built: Path, tmp_path: Path) -> None:
    out, common = tmp_path / "out", ("--guard", "shapes")
    build(out, *common, "-o", "source.seed=9", "--until", "screen", records=8)
    with pytest.raises(RunMismatchError, match=r"source\.seed: stored 9, given 0"):
        build(out, *common)
    with pytest.raises(RunMismatchError, match=r"screener\.name"):
        build(out, *common, "-o", "source.seed=9", "--screener", "none", records=8)

    other = tmp_path / "other"
    build(other, *common, "--captioner", "source-captions", "--aligned", 0.9, "--until", "screen")
    build(other, *common)
    assert contents(other) == contents(built)
    with pytest.raises(RunMismatchError, match=r"captioner\.name: stored 'grammar', given 'source-captions'"):
        build(other, *common, "--captioner", "source-captions")


def test_another_folder_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")

    with pytest.raises(RunError, match=r"holds other files \(first: notes.txt\)"):
        build(tmp_path)


def test_failed_captions_are_written_a_second_time_and_then_dropped(tmp_path: Path) -> None:
    swapped = json.loads(build(tmp_path / "a", "--plugin", plugin(tmp_path), "--captioner", "swapping", "--json"))
    stubborn = json.loads(build(tmp_path / "b", "--plugin", plugin(tmp_path), "--captioner", "stubborn", "--json"))

    assert swapped["regenerated"] == swapped["rescued"] > 10
    assert stubborn["regenerated"] > 8
    assert stubborn["rescued"] == 0
    verify = stubborn["stages"][2]
    assert verify["reasons"] == {"the captions are not alike in structure": stubborn["regenerated"]}
    (row, *_) = [pair for pair in read_pairs(tmp_path / "a") if int(pair.pair_id.split("-")[-1]) % 2]
    said = record_verdicts(tmp_path / "a", row.pair_id)
    assert [each["passed"] for each in said["verdicts"]] == [True, True, False, True, True]
    assert said["verdicts"][2]["reason"] == "caption 1 is not true of its own picture"


def test_what_cannot_be_told_is_not_dropped_but_asked_again(tmp_path: Path) -> None:
    mood = tmp_path / "mood"
    mood.touch()
    options = ("--plugin", plugin(tmp_path), "--verifier", "moody", "-o", f"verifier.mood={mood}", "--json")
    first = json.loads(build(tmp_path / "out", *options))
    mood.unlink()
    second = json.loads(build(tmp_path / "out", *options))

    assert first["stages"][2]["undecided"] > 3
    assert first["stages"][2]["reasons"] == {}
    assert second["stages"][2]["undecided"] == 0
    assert second["pairs"] > first["pairs"]


def test_a_judge_of_two_pictures_screens_whatever_it_says(tmp_path: Path) -> None:
    options = ("--plugin", plugin(tmp_path), "--screener", "answering", "--json")
    every = json.loads(build(tmp_path / "a", *options, records=40))
    none = "-o", "screener.no=unrelated to the editing"
    with pytest.raises(DataError, match="no pair is left") as told:
        build(tmp_path / "b", *options, *none, records=40)

    assert every["stages"][0]["left"] == 40
    assert "screen: 40 in, 0 out" in str(told.value)
    said = record_verdicts(tmp_path / "b", "7")
    assert said["reason"] == "changes what the instruction does not name"
    assert said["verdicts"][0]["answers"] == {"follows": 0.9, "preserves": 0.1, "natural": 0.9}


def test_workers_give_the_same_data(built: Path, tmp_path: Path) -> None:
    build(tmp_path / "out", "--guard", "shapes", "--workers", 2)

    assert contents(tmp_path / "out") == contents(built)


def test_faults_of_options_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"captioner 'grammar': size: unknown.*; verifier 'pixels': rules: unknown"):
        build(tmp_path / "out", "-o", "captioner.size=3", "-o", "verifier.rules=x")
    with pytest.raises(ConfigError, match=r"other\.x: expected PART\.KEY=VALUE"):
        build(tmp_path / "out", "-o", "other.x=3")
    with pytest.raises(ConfigError, match="source 'nowhere': expected shapes"):
        run("build", "--source", "nowhere", "--out", tmp_path / "out")
    assert not (tmp_path / "out" / "build" / "build.json").exists()


def test_inspect_prints_the_funnel_and_one_record(built: Path) -> None:
    table = run("inspect", built)
    kept = read_pairs(built)[0].pair_id

    assert "does not follow the instruction" in table
    assert json.loads(run("inspect", built, "--json")) == json.loads((built / "funnel.json").read_text())
    assert json.loads(run("inspect", built, "--record", kept))["outcome"] == "kept"
    with pytest.raises(DataError, match="nothing was said of it"):
        run("inspect", built, "--record", "shapes-0-99999")
    with pytest.raises(DataError, match="no funnel here"):
        run("inspect", built / "data")
