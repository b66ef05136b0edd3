"""Suite files: every accepted spelling, and every fault named by its line."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paircomp.errors import SuiteError, UnknownNameError
from paircomp.suites import load_suite, load_suite_file, prompt_sha256
from paircomp.suites.pair_records import subtask_name
from paircomp.types import PromptPair, Suite, suite_digest

GOOD = {"prompts": ["a red cat", "a blue cat"], "subtask": "color"}


def write(folder: Path, content: str | bytes, name: str = "mine.json") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def faults_of(folder: Path, content: str | bytes) -> tuple[str, ...]:
    with pytest.raises(SuiteError) as caught:
        load_suite_file(write(folder, content))
    assert "\n" not in str(caught.value)
    return caught.value.faults


def test_every_spelling_of_a_pair(tmp_path: Path) -> None:
    records = [
        {"category": "Style & Tone difference", "caption1": "a", "caption2": "b"},
        {"prompt1": "c", "prompt2": "d", "subtask": "Spatial: left of", "id": 17},
        {"prompts": ["é", "f"], "subtask": "color", "pair_id": "seven", "metadata": {"level": 3}},
    ]

    as_list = load_suite_file(write(tmp_path, json.dumps(records, indent=2)))
    as_lines = load_suite_file(write(tmp_path, "\n".join(map(json.dumps, records)), "lines.jsonl"))

    assert as_list.pairs == (
        PromptPair(0, "0", "style_tone", ("a", "b")),
        PromptPair(1, "17", "spatial_left_of", ("c", "d")),
        PromptPair(2, "seven", "color", ("é", "f"), {"level": 3}),
    )
    assert as_lines.pairs == as_list.pairs
    assert as_list.digest == as_lines.digest == suite_digest(as_list.pairs)
    assert (as_list.name, as_lines.name) == ("mine", "lines")
    assert as_list.subtasks == ("style_tone", "spatial_left_of", "color")
    assert as_list.prompts_public
    assert as_list.default_judge is None


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + json.dumps([GOOD]).encode(),
        b"\r\n\r\n" + json.dumps(GOOD).encode() + b"\r\n\r\n",
        b"\t[\n\n" + json.dumps(GOOD).encode() + b"\n]\n\n",
    ],
    ids=["byte order mark", "Windows line ends and blank lines", "blank lines in a list"],
)
def test_blanks_and_marks_do_not_matter(tmp_path: Path, content: bytes) -> None:
    assert load_suite_file(write(tmp_path, content)).pairs == (
        PromptPair(0, "0", "color", ("a red cat", "a blue cat")),
    )


def test_a_line_separator_inside_a_prompt_is_no_end_of_line(tmp_path: Path) -> None:
    prompts = ["one\u2028two\x0b", "three\x85four"]
    content = json.dumps({"prompts": prompts, "subtask": "text"}, ensure_ascii=False).replace("\x0b", "\\u000b")

    assert load_suite_file(write(tmp_path, content)).pairs[0].prompts == tuple(prompts)


@pytest.mark.parametrize(
    ("record", "fault"),
    [
        ("3", "expected an object, got a number"),
        ('["a", "b"]', "expected an object, got a list"),
        ('{"subtask": "c"}', "expected 'prompts' .* got none of them"),
        ('{"prompts": ["a", "b"], "prompt1": "a", "subtask": "c"}', "expected 'prompts' .* got more than one of them"),
        ('{"prompt1": "a", "subtask": "c"}', "no 'prompt2'; expected"),
        ('{"prompt1": "a", "caption2": "b", "subtask": "c"}', "got more than one of them"),
        ('{"prompts": ["a"], "subtask": "c"}', "'prompts': expected a list of two, got 1"),
        ('{"prompts": ["a", "b", "c"], "subtask": "c"}', "'prompts': expected a list of two, got 3"),
        ('{"prompts": "a", "subtask": "c"}', "'prompts': expected a list of two, got a string"),
        ('{"prompts": ["a", null], "subtask": "c"}', r"'prompts\[1\]': expected a string, got null"),
        ('{"caption1": "", "caption2": "b", "subtask": "c"}', "'caption1' is empty"),
        ('{"prompts": ["a", " \\t\\u00a0"], "subtask": "c"}', r"'prompts\[1\]' is blank"),
        ('{"prompts": ["a b", "a  b "], "subtask": "c"}', "both prompts are the same"),
        ('{"prompts": ["caf\\u00e9", "cafe\\u0301"], "subtask": "c"}', "both prompts are the same"),
        ('{"prompts": ["a", "b"]}', r"no 'subtask' \(or 'category'\)"),
        ('{"prompts": ["a", "b"], "subtask": 1}', "'subtask': expected a string, got a number"),
        ('{"prompts": ["a", "b"], "category": "&?"}', "'category': expected a name of letters or digits, got '&\\?'"),
        ('{"prompts": ["a", "b"], "subtask": "c", "category": "c"}', "'subtask' and 'category' are two names"),
        ('{"prompts": ["a", "b"], "subtask": "c", "id": 1, "pair_id": 1}', "'pair_id' and 'id' are two names"),
        ('{"prompts": ["a", "b"], "subtask": "c", "id": true}', "'id': expected a name or a whole number, got true"),
        ('{"prompts": ["a", "b"], "subtask": "c", "pair_id": " "}', "'pair_id': expected a name or a whole number"),
        ('{"prompts": ["a", "b"], "subtask": "c", "metadata": []}', "'metadata': expected an object, got a list"),
        ('{"prompts": ["a", "b"], "categry": "c", "subtask": "c"}', "unknown key 'categry'; did you mean 'category'"),
        (
            '{"prompts": ["a", "b"], "subtask": "c", "zzz": 1}',
            "unknown key 'zzz'; what is your own goes into 'metadata'",
        ),
        ('{"prompts": ["a", "b"], "subtask": "c", "subtask": "d"}', "key 'subtask' is given 2 times"),
        ('{"prompts": ["a", "b"], "subtask": "c", "metadata": {"x": 1, "x": 1}}', "key 'x' is given 2 times"),
        ('{"prompts": ["a", "b"], "subtask": "c", "metadata": {"x": NaN}}', "NaN is no JSON value"),
        ('{"prompts": ["a\\ud83d", "b"], "subtask": "c"}', "half a character"),
        ('{"prompts": ["a", "b"], "subtask": "c", "metadata": ' + "[" * 100_000, "nested too deeply"),
        ('{"prompts": ["a", "b"], "subtask": "c", "id": ' + "1" * 5000 + "}", "not JSON: Exceeds the limit"),
        ("{'prompts': 1}", "not JSON: Expecting property name"),
    ],
    ids=lambda text: text[:60],
)
def test_a_fault_is_named_with_its_line_in_both_layouts(tmp_path: Path, record: str, fault: str) -> None:
    first = json.dumps({"prompts": ["x", "y"], "subtask": "c", "pair_id": "first"})

    for content in (f"[\n{first},\n\n{record}\n]", f"\n{first}\n\n{record}\n"):
        assert any(re.match(f"line 4: .*{fault}", said) for said in faults_of(tmp_path, content)), content


def test_a_line_that_breaks_off_leaves_the_next_ones_readable(tmp_path: Path) -> None:
    whole = '{"prompts": ["a", "b"], "subtask": "c", "pair_id": "x"}'
    lines = [whole, whole[:20], whole[:-1], whole.replace('"a"', '"z"')]

    assert faults_of(tmp_path, "\n".join(lines)) == (
        "line 2: not JSON: Unterminated string starting at (column 19); is it truncated?",
        "line 3: not JSON: Expecting ',' delimiter (column 55); is it truncated?",
        "line 4: pair_id 'x' is that of line 1",
    )


def test_all_faults_come_at_once_and_equal_ones_together(tmp_path: Path) -> None:
    lines = [
        '{"prompts": ["a", "b"], "subtask": "c"}',
        '{"prompts": ["b ", "a"], "subtask": "d", "pair_id": "x"}',
        '{"prompts": ["c", ""], "subtask": 5}',
        "not json",
        '{"prompts": ["e", "f"], "subtask": "d", "pair_id": "x"}',
        *['{"captoin1": "x", "caption2": "y", "category": "c"}'] * 700,
    ]

    said = faults_of(tmp_path, "\n".join(lines))

    assert said == (
        "line 2: the pair of line 1 again (in either order)",
        "line 3: 'prompts[1]' is empty",
        "line 3: 'subtask': expected a string, got a number",
        "line 4: not JSON: Expecting value (column 1)",
        "line 5: pair_id 'x' is that of line 2",
        "lines 6, 7, 8, 9, 10 and 695 more: unknown key 'captoin1'; did you mean 'caption1'?",
        "lines 6, 7, 8, 9, 10 and 695 more: no 'caption1'; expected 'prompts' (a list of two), or 'prompt1' and"
        " 'prompt2', or 'caption1' and 'caption2'",
    )


def test_a_default_label_may_not_collide_with_a_given_one(tmp_path: Path) -> None:
    content = '{"prompts": ["a", "b"], "subtask": "c", "id": 1}\n{"prompts": ["c", "d"], "subtask": "c"}'

    assert faults_of(tmp_path, content) == ("line 2: pair_id '1' is that of line 1",)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is empty"),
        (b" \n\t\n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"[]", "holds no pairs"),
        (b'{"pairs":\n []}', "line 1: expected a JSON list of pairs, .* got one object over several lines"),
        (b'[{"prompts":', "line 1: not JSON: .*truncated"),
        (json.dumps([GOOD]).encode()[:-1], "line 1: the file ends before its list does; is it truncated"),
        (json.dumps([GOOD]).encode() + b"\n[]", "line 2: text behind the end of the list"),
        (b"[" + json.dumps(GOOD).encode() + b"\n;]", "line 2: not JSON: expected ',' or ']' between pairs, got ';'"),
        (b"[]]", "line 1: text behind the end of the list"),
        (json.dumps(GOOD).encode() + b",", "line 1: not JSON: text behind the object: ','"),
        ("[é".encode("utf-16"), r"line 1: expected UTF-8, got UTF-16 \(bytes ff fe 5b 00\); next: save it as UTF-8"),
        ("[é".encode("utf-16-be"), "line 1: expected UTF-8, got UTF-16 or UTF-32 without a mark"),
        ("[é".encode("utf-32"), "line 1: expected UTF-8, got UTF-32"),
        ('[\n\n{"é'.encode("latin-1"), "line 3: expected UTF-8, got byte 0xe9 at offset 5 "),
        (b'\xef\xbb\xbf[\n\n{"\xe9', "line 3: expected UTF-8, got byte 0xe9 at offset 8 "),
    ],
)
def test_files_that_are_no_suites(tmp_path: Path, content: bytes, fault: str) -> None:
    assert re.match(fault, faults_of(tmp_path, content)[0])


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="is a folder, expected a JSON or JSON Lines file"):
        load_suite_file(tmp_path)
    with pytest.raises(SuiteError, match=r"absent\.json: No such file or directory; next: check the path"):
        load_suite_file(tmp_path / "absent.json")


def test_names_come_from_the_file_or_the_caller(tmp_path: Path) -> None:
    path = write(tmp_path, json.dumps([GOOD]), "my own: pairs.v2.json")

    assert load_suite_file(path).name == "my-own-pairs.v2"
    assert load_suite_file(path, name="other").name == "other"
    assert load_suite_file(path).source == str(path)


class Names:
    """Knows one suite."""

    def suite(self, name: str, /) -> Suite:
        if name != "shapes":
            raise UnknownNameError("suite", name, ["shapes"])
        pairs = (PromptPair(0, "0", "color", ("a red dog", "a blue dog")),)
        return Suite("shapes", pairs, suite_digest(pairs))


def test_a_name_wins_over_a_file_and_a_path_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("shapes", "pairs.json", "pairs"):
        write(tmp_path, json.dumps([GOOD]), name)

    assert load_suite(Names(), "shapes").name == "shapes"
    assert load_suite(Names(), "./shapes").pairs[0].prompts == ("a red cat", "a blue cat")
    assert load_suite(Names(), "pairs.json").name == "pairs"
    assert load_suite(Names(), "pairs").name == "pairs"
    with pytest.raises(UnknownNameError, match="did you mean shapes"):
        load_suite(Names(), "shape")


def plain(prompt: str) -> str:
    return " ".join(unicodedata.normalize("NFC", prompt).split())


PROMPT = st.text(min_size=1).filter(plain)
PAIRS = st.lists(
    st.tuples(PROMPT, PROMPT).filter(lambda pair: plain(pair[0]) != plain(pair[1])), min_size=1, max_size=5
)


@settings(deadline=None)
@given(PAIRS, st.booleans())
def test_whatever_text_goes_in_comes_out(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]], lines: bool
) -> None:
    # A number before each prompt keeps the pairs apart from one another.
    prompts = [tuple(f"{index} {prompt}" for prompt in pair) for index, pair in enumerate(pairs)]
    records = [{"prompts": pair, "subtask": "text"} for pair in prompts]
    content = "\n".join(map(json.dumps, records)) if lines else json.dumps(records, ensure_ascii=False)

    suite = load_suite_file(write(tmp_path_factory.mktemp("suite"), content))

    assert [pair.prompts for pair in suite.pairs] == prompts


@settings(deadline=None)
@given(st.text())
def test_a_subtask_name_is_its_own_name(text: str) -> None:
    assert subtask_name(subtask_name(text)) == subtask_name(text)


def test_prompt_hashes_are_those_of_their_utf8() -> None:
    # printf 'café' | sha256sum
    assert prompt_sha256("café") == "850f7dc43910ff890f8879c0ed26fe697c93a067ad93a7d50f466a7028a9bf4e"


def test_duplicates_are_found_in_a_file_of_one_line(tmp_path: Path) -> None:
    pairs = [{"caption1": a, "caption2": b, "category": "x", "id": i} for a, b, i in ("abp", "baq", "cdp")]
    path = tmp_path / "suite.json"
    path.write_text(json.dumps(pairs), encoding="utf-8")
    with pytest.raises(SuiteError) as raised:
        load_suite_file(path)
    assert raised.value.faults == (
        "line 1: the pair of line 1 again (in either order)",
        "line 1: pair_id 'p' is that of line 1",
    )
