"""The published suite: the real file where it is at hand, and what is said where it is not."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from paircomp.errors import SuiteError, UnavailableError
from paircomp.suites import load_suite_file
from paircomp.suites.fetching import cached_file
from paircomp.suites.official import DATA_VARIABLE, paircomp_suite

DATA = os.environ.get(DATA_VARIABLE)
needs_official_file = pytest.mark.skipif(
    DATA is None,
    reason=f"{DATA_VARIABLE} does not name a folder with PairComp.json (paircomp fetch paircomp brings it)",
)


@pytest.fixture
def official_file() -> Path:
    return Path(str(DATA)).resolve() / "PairComp.json"


@needs_official_file
def test_the_published_550_pairs() -> None:
    suite = paircomp_suite()

    assert suite.name == "paircomp"
    assert Counter(pair.subtask for pair in suite.pairs) == {
        "overall_appearance": 250,
        "color": 50,
        "counting": 50,
        "position": 50,
        "style_tone": 100,
        "text": 50,
    }
    assert [pair.pair for pair in suite.pairs] == list(range(550))
    assert (suite.samples, suite.default_judge, suite.held_out_judge) == (2, "internvl2.5-26b", "qwen2.5-vl-7b")
    assert not suite.prompts_public


@needs_official_file
def test_a_copy_is_known_by_its_contents(official_file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "renamed.jsonl"
    copy.write_text("\n".join(map(json.dumps, json.loads(official_file.read_text(encoding="utf-8")))), encoding="utf-8")

    suite = load_suite_file(copy)

    assert suite.name == "paircomp"
    assert not suite.prompts_public
    assert suite.digest == paircomp_suite().digest
    assert suite.default_judge == "internvl2.5-26b"
    assert str(copy) in suite.source


@needs_official_file
def test_a_changed_copy_is_a_suite_of_its_own(official_file: Path, tmp_path: Path) -> None:
    records = json.loads(official_file.read_text(encoding="utf-8"))
    records[0]["caption1"] += "!"
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(records), encoding="utf-8")

    assert load_suite_file(path).name == "changed"
    assert load_suite_file(path).default_judge is None


@needs_official_file
def test_the_fetched_file_is_found(official_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATA_VARIABLE)
    monkeypatch.setenv("PAIRCOMP_CACHE_DIR", str(tmp_path))
    cached_file("paircomp").parent.mkdir(parents=True)
    shutil.copyfile(official_file, cached_file("paircomp"))

    assert len(paircomp_suite().pairs) == 550


def test_an_absent_file_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAIRCOMP_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    with pytest.raises(UnavailableError, match="next: paircomp fetch paircomp"):
        paircomp_suite()

    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "mine"))
    with pytest.raises(SuiteError, match=f"no such file, though {DATA_VARIABLE} names its folder; next: unset"):
        paircomp_suite()


def test_another_file_is_not_taken_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "PairComp.json").write_text('[{"category": "x", "caption1": "a", "caption2": "b"}]')
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))

    with pytest.raises(
        SuiteError, match=r"not the published file: expected SHA-256 f4fe0842.*, got [0-9a-f]{64}; next:"
    ):
        paircomp_suite()
