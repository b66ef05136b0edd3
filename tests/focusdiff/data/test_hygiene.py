"""Between verdicts and data: the guard, duplicates, shares, subtasks."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from focusdiff.data.balance import Balance, parse_shares, repeats_of
from focusdiff.data.contamination import PromptIndex, open_guard
from focusdiff.data.duplicates import DuplicateFinder
from focusdiff.data.fingerprints import HASH_BITS, perceptual_hash, pixel_digest
from focusdiff.data.pairs import read_pairs
from focusdiff.data.subtasks import subtask_of
from focusdiff.data.words import word_edits
from paircomp.errors import ConfigError, SuiteError
from paircomp.plugins import Registry
from paircomp.shapes import Wording, parse_prompt, write_prompt
from paircomp.suites.shapes_suites import shapes_suite
from tests.focusdiff.data.parts import build

PROMPTS = [
    "a tall glass vase with three white tulips stands on a wooden table by the window",
    "an old fisherman mends a green net on the quiet harbour wall",
    "a red car",
    *(f"the thing number {number} is the one of the things" for number in range(60)),
]
OFFICIAL = Path(os.environ.get("PAIRCOMP_DATA_DIR", "none")) / "PairComp.json"


def index(**said: float) -> PromptIndex:
    return PromptIndex(PROMPTS, ngram=int(said.get("ngram", 8)), edits=said.get("edits", 0.2))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("In the hall a tall glass vase with three white tulips shines", "8 words in a row"),
        ("An old fisherman mends a blue net, on the quiet harbour wall!", "edit distance"),
        ("an old fisherman mends a green net beside the quiet blue sea", None),
        ("a red car", "edit distance"),
        ("a blue car", None),
        ("the thing number 61 is the one of the things", "edit distance"),
        ("a dog runs on the beach", None),
    ],
)
def test_texts_close_to_a_benchmark_are_found_by_their_rule(text: str, rule: str | None) -> None:
    assert index().close_by(text) == rule


def test_the_quick_search_finds_what_a_full_one_finds() -> None:
    """Random sentences of few words against an index that looks everywhere."""
    random = np.random.Generator(np.random.PCG64(3))
    words = ("the", "a", "of", "thing", "number", "one", "red", "car", "old", "net", "vase", "5", "17", "is", "things")
    searched = index(edits=0.3, ngram=20)
    for _ in range(300):
        text = " ".join(random.choice(words, size=int(random.integers(2, 11))))
        nearest = min(word_edits(text, prompt) / max(len(text.split()), len(prompt.split())) for prompt in PROMPTS)
        assert (searched.close_by(text) is not None) == (
            any(
                word_edits(text, prompt) <= int(0.3 * max(len(text.split()), len(prompt.split()))) for prompt in PROMPTS
            )
        ), (text, nearest)


def test_embedded_suites_are_guarded_by_what_they_show(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PAIRCOMP_DATA_DIR", str(tmp_path))
    guard = open_guard(Registry())
    prompt = shapes_suite().pairs[0].prompts[0]

    assert guard.refuses([prompt]) == "embedded suites: the same picture"
    assert (
        guard.refuses([write_prompt(parse_prompt(prompt), Wording.BACKGROUND_FIRST)])
        == "embedded suites: the same picture"
    )
    assert guard.refuses(["one red circle on the moon"]) is None
    assert guard.suites == ("shapes", "shapes-dev")
    assert "no such file" in guard.missing["paircomp"]


def test_a_named_suite_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SuiteError):
        open_guard(Registry(), suites=[str(tmp_path / "none.jsonl")])
    with pytest.raises(ConfigError, match="at least 3 words"):
        open_guard(Registry(), ngram=2)


@pytest.mark.skipif(not OFFICIAL.is_file(), reason="the published prompts come with: paircomp fetch paircomp")
def test_the_published_prompts_are_guarded() -> None:
    guard = open_guard(Registry())
    pairs = json.loads(OFFICIAL.read_text())

    assert guard.missing == {}
    assert all(guard.refuses([pair["caption1"]]) for pair in pairs[::25])
    assert guard.refuses(["two red circles on a dark plain background"]) is None


def test_a_contaminated_source_loses_its_pairs_and_says_so(tmp_path: Path) -> None:
    build(tmp_path / "clean", "--shares", "as-is")
    prompts = [pair.prompts for pair in read_pairs(tmp_path / "clean")][:5]
    lines = [json.dumps({"prompts": list(texts), "subtask": "color"}) + "\n" for texts in prompts]
    (tmp_path / "mine.jsonl").write_text("".join(lines))
    (tmp_path / "prompts.txt").write_text(f"{prompts[0][0]}\na dog\nA dog!\n")
    options = ("--guard", tmp_path / "mine.jsonl", "--guard-edits", 0, "--guard-ngram", 30, "--shares", "as-is")
    out = json.loads(build(tmp_path / "clean", *options, "--prompts", tmp_path / "prompts.txt", "--json"))

    (guarded,) = (stage for stage in out["stages"] if stage["stage"] == "contamination")
    assert guarded["reasons"]["mine: edit distance"] >= 5
    kept = {prompt for pair in read_pairs(tmp_path / "clean") for prompt in pair.prompts}
    assert not kept & {prompt for texts in prompts for prompt in texts}
    assert (tmp_path / "clean" / "prompts.txt").read_text() == "a dog\n"
    assert out["unpaired_prompts"]["reasons"] == {"mine: edit distance": 1, "the same words": 1}


def noise(seed: int) -> Image.Image:
    values = np.random.Generator(np.random.PCG64(seed)).integers(0, 255, (8, 9, 3), dtype=np.uint8)
    return Image.fromarray(values).resize((180, 160), Image.Resampling.NEAREST)


def test_hashes_know_a_picture_again(tmp_path: Path) -> None:
    picture = noise(1)
    picture.save(tmp_path / "x.jpg", quality=85)
    again = Image.open(tmp_path / "x.jpg").resize((90, 80))

    def distance(first: str, second: str) -> int:
        return (int(first, 16) ^ int(second, 16)).bit_count()

    assert len(perceptual_hash(picture)) * 4 == HASH_BITS
    assert distance(perceptual_hash(picture), perceptual_hash(again)) <= 8
    assert distance(perceptual_hash(picture), perceptual_hash(noise(2))) > 60
    assert pixel_digest(picture) == pixel_digest(picture.copy()) != pixel_digest(again)


def found(rows: list[tuple[tuple[str, str], int, int]], **said: float) -> tuple[list[int], list[int]]:
    """Exact and near duplicates among (captions, first picture, second picture)."""
    finder = DuplicateFinder(bits=int(said.get("bits", 4)), overlap=said.get("overlap", 0.8))
    for captions, *seeds in rows:
        pictures = [noise(seed) for seed in seeds]
        finder.add(captions, [pixel_digest(each) for each in pictures], [perceptual_hash(each) for each in pictures])
    exact = finder.exact()
    return exact.tolist(), finder.near(lambda number: rows[number][0], left_out=exact).tolist()


LONG = ("a red cat sleeps on the old mat by the fire", "a blue cat sleeps on the old mat by the fire")


def test_the_same_pictures_are_there_once_in_either_order() -> None:
    other = ("something", "else")

    assert found([(LONG, 1, 2), (other, 1, 2), (other, 2, 1), (other, 1, 3)]) == ([1, 2], [])


def test_nearly_the_same_needs_captions_and_pictures() -> None:
    finder = DuplicateFinder()
    near = ("a red cat sleeps on the old mat by the fire!", "A blue cat sleeps on the old mat by the fire")
    rows = [(LONG, 1, 2), (near, 1, 2), (LONG, 3, 4), (("a dog runs", "a cat runs"), 1, 2)]
    for number, (captions, *seeds) in enumerate(rows):
        # The same pictures as other files: other digests, equal hashes.
        digests = [f"{100 * number + seed:016x}" for seed in seeds]
        finder.add(captions, digests, [perceptual_hash(noise(seed)) for seed in seeds])

    assert finder.exact().tolist() == []
    assert finder.near(lambda number: rows[number][0], left_out=np.array([], dtype=np.int64)).tolist() == [1]
    assert finder.near(lambda number: rows[number][0], left_out=np.array([0])).tolist() == []


def test_nothing_has_no_duplicates() -> None:
    assert found([]) == ([], [])


def test_rare_subtasks_are_repeated_up_to_their_share() -> None:
    rates = Balance({"color": 0.5, "text": 0.5}, most=10).rates({"color": 800, "text": 100, "other": 30})
    capped = Balance({"color": 0.5, "text": 0.5}, most=4).rates({"color": 800, "text": 100})

    assert rates == {"color": 1.0, "text": 8.0, "other": 1.0}
    assert capped == {"color": 1.0, "text": 4.0}
    assert Balance({}).rates({"color": 5}) == {"color": 1.0}


def test_repeats_average_to_the_rate_and_depend_on_the_name_alone() -> None:
    drawn = [repeats_of(f"pair-{number}", 2.3) for number in range(2000)]

    assert set(drawn) == {2, 3}
    assert 2.25 < sum(drawn) / len(drawn) < 2.35
    assert drawn[7] == repeats_of("pair-7", 2.3)


def test_shares_are_read_or_refused() -> None:
    assert parse_shares("color=1, text=3") == {"color": 0.25, "text": 0.75}
    assert sum(parse_shares("equal").values()) == pytest.approx(1)
    assert parse_shares("as-is") == {}
    with pytest.raises(ConfigError, match=r"'colour=1': expected SUBTASK=SHARE.*'text=many'"):
        parse_shares("colour=1,text=many")


@pytest.mark.parametrize(
    ("edit_type", "first", "second", "subtask"),
    [
        (None, "a red cat", "a blue cat", "color"),
        (None, "one cat sits", "two cats sit", "counting"),
        (None, "one cat on a mat", "two cats on a mat", "counting"),
        (None, "3 apples", "5 apples", "counting"),
        (None, "a cat in front of the sofa", "a cat behind the sofa", "position"),
        (None, 'a sign with the words "stop here"', 'a sign with the words "go on"', "text"),
        (None, "a red sign that reads AB on it", "a red sign that reads AT on it", "text"),
        (None, "a sunny street", "a rainy street", "style_tone"),
        ("replace", "a cat on a mat", "a dog on a mat", "overall_appearance"),
        ("counting", "a cat", "some kittens", "counting"),
        ("textual_change", "an open shop", "a closed shop", "text"),
        ("color_alter", "one cat", "three cats", "counting"),
    ],
)
def test_the_words_that_differ_decide_before_the_kind_of_edit(
    edit_type: str | None, first: str, second: str, subtask: str
) -> None:
    assert subtask_of(edit_type, (first, second)) == subtask


def test_subtasks_of_the_embedded_world_are_those_that_were_drawn(tmp_path: Path) -> None:
    build(tmp_path / "out", "-o", "source.spoilt=0.0", "--shares", "equal")
    import pyarrow.parquet as pq

    table = pq.read_table(
        tmp_path / "out" / "data" / "train-00000.parquet", columns=["subtask", "edit_type", "repeats"]
    )
    rows = table.to_pylist()

    assert all(row["subtask"] == row["edit_type"] for row in rows)
    counts = Counter(row["subtask"] for row in rows)
    assert max(row["repeats"] for row in rows if row["subtask"] == counts.most_common()[0][0]) == 1
