"""Reasons quote no prompts: equal ones are counted as one, and nothing unlicensed reaches an export."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from paircomp.cli import run
from paircomp.report.reasons import PublicReasons
from paircomp.suites import prompt_sha256
from paircomp.suites.shapes_suites import shapes_suite
from paircomp.types import ImageKey, PromptPair, Suite, suite_digest

PROMPTS = ("A sign that reads 'OPEN', in red", "A sign that reads 'OPEN', in red and blue")
OTHER = ("two cats\nsleeping", "three cats\nsleeping")
PAIRS = [PromptPair(0, "p0", "color", PROMPTS), PromptPair(1, "p1", "counting", OTHER)]
SECRET = Suite("secret", PAIRS, suite_digest(PAIRS), prompts_public=False)
PUBLIC = replace(SECRET, prompts_public=True)
HASH = f"<prompt sha256 {prompt_sha256(PROMPTS[1])[:12]}>"


@pytest.mark.parametrize(
    ("reason", "public", "secret"),
    [
        ("no image", "no image", "no image"),
        (f"refused: {PROMPTS[0]}", "refused: <prompt>", "refused: <prompt>"),
        (f"refused: {PROMPTS[0].upper()}!", "refused: <prompt>!", "refused: <prompt>!"),
        (f"not {PROMPTS[1]}", f"not {PROMPTS[1]}", f"not {HASH}"),
        (f"bad: {[PROMPTS[1]]!r}", f"bad: {[PROMPTS[1]]!r}", f'bad: ["{HASH}"]'),
        ("failed on two cats sleeping, x", "failed on two cats sleeping, x", None),
        (r"failed on 'two cats\nsleeping', x", r"failed on 'two cats\nsleeping', x", None),
        (f"cannot draw {PROMPTS[1][:24]}...", f"cannot draw {PROMPTS[1][:24]}...", "cannot draw <prompt>"),
    ],
)
def test_prompts_are_taken_out(reason: str, public: str, secret: str | None) -> None:
    key = ImageKey(0, 0, 0)
    assert PublicReasons(PUBLIC)(reason, key) == public
    said = PublicReasons(SECRET)(reason, key)
    assert said == secret if secret is not None else "cats" not in said


def test_a_prompt_within_a_word_is_no_prompt() -> None:
    pairs = [PromptPair(0, "p", "text", ("a", "cat"))]
    suite = Suite("letters", pairs, suite_digest(pairs))
    assert PublicReasons(suite)("a bad category", ImageKey(0, 0, 0)) == "<prompt> bad category"


PLUGIN = """
from dataclasses import replace
from paircomp.suites.shapes_suites import shapes_suite
from paircomp.types import Judgement

class Quoting:
    '''Cannot tell about one pair.'''

    pair = None

    def judge(self, requests):
        for request in requests:
            self.pair = request.key.pair if self.pair is None else self.pair
            for question in request.questions:
                odd = request.key.pair == self.pair
                said = f"cannot tell: {question.prompt!r} of {[other.prompt for other in request.questions]}"
                yield Judgement(request.key, question.judged_prompt, score=None if odd else 0.5,
                                unscored=said if odd else None)

    def close(self): ...

def quoting(*, checkpoint=None, device="cpu", dtype=None):
    return Quoting()

JUDGES = {"quoting": quoting}
SUITES = {"secret": lambda: replace(shapes_suite(), name="secret", prompts_public=False)}
"""


def exported(suite: str, folder: Path) -> dict[str, bytes]:
    """Every file that an export of a run of a quoting judge writes, by name."""
    (folder / "plugin.py").write_text(PLUGIN)
    out = folder / suite
    plugin = ["--plugin", str(folder / "plugin.py")]
    assert run(["eval", "--model", "sketch", "--suite", suite, "--judge", "quoting", "--cross", "--limit", "12",
                "--out", str(out), *plugin]) == 0  # fmt: skip
    before = {path for path in out.rglob("*") if path.suffix == ".jsonl"}
    formats = ["--format", "json,md,csv,html,eee,hub,official", "--hub-dataset", "a/b"]
    assert run(["report", str(out), *formats, *plugin]) == 0
    files = set(out.rglob("*")) - before
    return {path.name: path.read_bytes() for path in files if path.is_file() and path.suffix != ".png"}


def test_no_export_holds_a_prompt_that_is_not_public(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    files = exported("secret", tmp_path)
    assert {"report.json", "report.md", "report.html", "pairs.csv"} <= files.keys()
    assert any(name.endswith("_samples.jsonl") for name in files)
    prompts = {text for pair in shapes_suite().pairs for text in pair.prompts}
    leaks = [name for name, content in files.items() if any(text.encode() in content for text in prompts)]
    assert leaks == []
    assert not any(text in capfd.readouterr().out for text in prompts)
    reasons = json.loads(files["report.json"])["coverage"]["reasons"]
    assert all("cannot tell: '<prompt>' of " in row["reason"] and "<prompt sha256 " in row["reason"] for row in reasons)


def test_equal_reasons_are_counted_as_one() -> None:
    suite = shapes_suite()
    public = PublicReasons(suite)
    said = {public(f"refused: {pair.prompts[0]}", ImageKey(pair.pair, 0, 0)) for pair in suite.pairs}
    assert said == {"refused: <prompt>"}
