"""What the data card says to those who did not see the build."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from focusdiff.data.pairs import read_pairs
from focusdiff.data.publishing import published
from tests.focusdiff.data.parts import build, plugin
from tests.focusdiff.data.test_sources import EDITS, ultraedit

PARTS = ("--screener", "none", "--captioner", "source-captions", "--verifier", "pixels")


def card(folder: Path) -> str:
    return (folder / "README.md").read_text(encoding="utf-8")


def test_the_card_counts_what_the_guard_refused_for_each_benchmark(tmp_path: Path) -> None:
    build(tmp_path / "out", "--guard", "shapes")
    before = len(read_pairs(tmp_path / "out", repeated=False))
    texts = read_pairs(tmp_path / "out")[0].prompts
    (tmp_path / "mine.jsonl").write_text(json.dumps({"prompts": list(texts), "subtask": "color"}) + "\n")
    build(tmp_path / "out", "--guard", tmp_path / "mine.jsonl", "--guard-edits", 0, "--guard-ngram", 30)
    said = card(tmp_path / "out")
    (line,) = (line for line in said.splitlines() if line.startswith("| mine (SHA-256 "))

    after = len(read_pairs(tmp_path / "out", repeated=False))
    assert before - after >= 1
    assert line.endswith(
        f"| 2 | 30 words in a row in common, or at most 0 % of the words to change | {before - after} |"
    )
    assert "| shapes, shapes-dev | all | the same picture is asked for | 0 |" in said
    assert f"{before - after:,} of " in said


def test_a_guard_that_did_not_run_and_duplicates_that_were_left_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAIRCOMP_DATA_DIR", str(tmp_path / "nowhere"))
    funnel = json.loads(build(tmp_path / "out", "--keep-duplicates", "--json"))
    said = card(tmp_path / "out")

    assert funnel["guard"]["missing"] == ["paircomp"]
    assert "**The contamination guard did not run against the suite `paircomp`**" in said
    assert "| paircomp | **none: it was not at hand** | | |" in said
    assert "Duplicates were not looked for." in said
    assert [stage["stage"] for stage in funnel["stages"]] == ["screen", "caption", "verify", "contamination"]
    assert str(tmp_path) not in said + json.dumps(funnel)


def test_the_card_names_who_made_images_prompts_and_verdicts(tmp_path: Path) -> None:
    source = f"ultraedit:{ultraedit(tmp_path / 'in')}"
    build(tmp_path / "out", *PARTS, "--aligned", 0.6, source=source)
    said = card(tmp_path / "out")

    assert "license: cc-by-4.0\n" in said
    assert "- The images: UltraEdit by Haozhe Zhao et al. (arXiv 2407.05282)." in said
    assert "| `source-captions` | two texts |" in said
    assert "| `pixels` | own at least 0.6, other below 0.5 |" in said
    assert "whatever can be read: nothing was asked" in said
    assert "on the other image 0.0" in said


def test_unknown_licences_and_languages_are_not_guessed(tmp_path: Path) -> None:
    line = {"image1": "a.png", "image2": "b.png", "prompt1": EDITS[0].captions[0], "prompt2": EDITS[0].captions[1]}
    (tmp_path / "mine").mkdir()
    for name, content in (("a", EDITS[0].before), ("b", EDITS[0].after)):
        (tmp_path / "mine" / f"{name}.png").write_bytes(content or b"")
    (tmp_path / "mine" / "pairs.json").write_text(json.dumps([line]))
    build(tmp_path / "out", *PARTS, source=str(tmp_path / "mine" / "pairs.json"))
    said = card(tmp_path / "out")

    assert "# 1 prompt-image pairs from `mine`" in said
    assert "license: other\n" in said
    assert "**Licences that are unknown must be cleared before the data is passed on.**" in said
    assert "language" not in said.split("---")[1]


def test_regenerated_captions_are_counted(tmp_path: Path) -> None:
    funnel = json.loads(
        build(tmp_path / "out", "--plugin", plugin(tmp_path), "--captioner", "swapping", "--json", records=20)
    )

    assert f"{funnel['regenerated']} records had their captions written a second time" in card(tmp_path / "out")


def test_folders_of_this_machine_stay_here() -> None:
    given = {"a": ["/home/me/judge", "C:\\models\\judge", "owner/name", 3], "b": None}

    assert published(given) == {"a": ["judge", "judge", "owner/name", 3], "b": None}
