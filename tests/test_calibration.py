"""Calibration finds what is wrong with a judge: on the pixels judge, and on judges that are bad in one way each."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from paircomp.calibration import Case, calibrate, embedded_controls, read_labels
from paircomp.calibration.agreement import agreement, krippendorff_alpha, rank_agreement
from paircomp.calibration.controls import BLANK, NOISE, ONE_WORD, OWN, PARAPHRASE, UNRELATED
from paircomp.calibration.measures import auc, calibration_error, reliability
from paircomp.cli import run
from paircomp.errors import ConfigError, JudgeError
from paircomp.judges.pixels import PixelsJudge
from paircomp.report.html import calibration_to_html
from paircomp.report.trust import calibration_panels
from paircomp.shapes import parse_prompt
from paircomp.suites.shapes_suites import shapes_dev_suite
from paircomp.types import Judgement, JudgeRequest, Question

CONTROLS = embedded_controls(3)


class RuleJudge:
    """A judge by a rule of image, question and batch size; each test's rule is bad in one way."""

    def __init__(self, rule: Callable[[Image.Image, Question, int], float | None]) -> None:
        self.rule = rule
        self.closed = 0

    def judge(self, requests: Sequence[JudgeRequest]) -> Iterator[Judgement]:
        for request in requests:
            for question in request.questions:
                score = self.rule(request.images[0], question, len(requests))
                reason = "cannot tell" if score is None else None
                yield Judgement(request.key, question.judged_prompt, score=score, unscored=reason)

    def close(self) -> None:
        self.closed += 1


class BiasedByOrder(RuleJudge):
    """Says whatever its question names first."""

    def __init__(self) -> None:
        super().__init__(lambda *_: 0.9)

    def asking_no_first(self) -> RuleJudge:
        return RuleJudge(lambda *_: 0.2)


def measured(judge: Any, cases: Sequence[Case] = CONTROLS, **options: Any) -> dict[str, Any]:
    found = calibrate(judge, cases, name="tested", identity={}, **options)
    json.dumps(found, allow_nan=False)
    return found


def shift(found: dict[str, Any], change: str) -> dict[str, Any]:
    (row,) = (row for row in found["sensitivity"] if row["change"] == change)
    return row


# Judges


def test_the_pixels_judge_stands_up() -> None:
    found = measured(PixelsJudge())
    assert found["warnings"] == []
    assert [row["auc"] for row in found["subtasks"].values()] == [1.0] * 6
    assert found["one_word"]["false_yes"] == 0
    assert found["overall"]["auc_ci"][0] > 0.85
    assert found["overall"]["calibration_error"] < 0.03
    assert found["questions"] == {"asked": 36 * 4 + 40, "unscored": 0, "reasons": []}
    assert shift(found, "one image at a time")["largest"] == 0
    assert shift(found, "prompt reworded")["largest"] < 1e-9
    assert shift(found, "image enlarged twofold")["flips"] == 0


def test_a_judge_that_says_yes_to_all_is_found_out() -> None:
    found = measured(RuleJudge(lambda *_: 0.9))
    assert found["one_word"]["auc"] == 0.5
    assert found["one_word"]["false_yes"] == 1.0
    assert {row["control"]: row["yes_rate"] for row in found["controls"]} == {
        OWN: 1, ONE_WORD: 1, UNRELATED: 1, BLANK: 1, NOISE: 1,
    }  # fmt: skip
    said = " ".join(found["warnings"])
    assert "every image the score 0.9" in said
    assert "'blank image'" in said
    assert "AUC 0.50" in said


def test_a_judge_that_ignores_the_image_is_found_out() -> None:
    """It has its own opinion of each prompt, so that its scores vary and its mean looks sound."""
    found = measured(RuleJudge(lambda _, question, __: sum(question.prompt.encode()) % 101 / 100))
    low, high = found["one_word"]["auc_ci"]
    assert low < 0.5 < high
    assert any("hardly tells prompts apart" in warning for warning in found["warnings"])
    assert shift(found, "image enlarged twofold")["largest"] == 0


def test_a_judge_of_the_background_alone_sees_what_is_unrelated_but_no_single_word() -> None:
    sharp = PixelsJudge()

    def tone(image: Image.Image, question: Question, _: int) -> float:
        request = JudgeRequest((0, 0, 0), (image,), (question,))  # type: ignore[arg-type]
        (answer,) = sharp.judge([request])
        factors = answer.evidence["factors"]
        return float(factors["tone"] * factors["pattern"])

    found = measured(RuleJudge(tone))
    assert found["subtasks"]["style_tone"]["auc"] == 1.0
    assert found["subtasks"]["color"]["false_yes"] == 1.0
    assert found["overall"]["auc"] > found["one_word"]["auc"]


def test_the_order_of_yes_and_no_is_turned_round_where_the_judge_can() -> None:
    found = measured(BiasedByOrder())
    row = shift(found, "no named before yes")
    assert row["mean_shift"] == pytest.approx(-0.7)
    assert row["flips"] == 1.0
    assert any("no named before yes" in warning for warning in found["warnings"])
    assert "cannot be turned round" in shift(measured(PixelsJudge()), "no named before yes")["reason"]


def test_scores_that_hang_on_batch_or_size_are_measured() -> None:
    found = measured(RuleJudge(lambda image, _, batch: 0.5 + 0.001 * batch + 0.0001 * image.width), batch_size=6)
    assert shift(found, "one image at a time")["largest"] == pytest.approx(0.005)
    assert shift(found, "image enlarged twofold")["mean_shift"] == pytest.approx(0.0032)


def test_unscored_is_counted_and_never_zero() -> None:
    found = measured(RuleJudge(lambda _, question, __: None if "red" in question.prompt else 0.9))
    unscored = found["questions"]["unscored"]
    assert unscored > 0
    assert found["questions"]["reasons"] == [{"reason": "cannot tell", "count": unscored}]
    assert found["controls"][0]["mean"] == pytest.approx(0.9)
    assert any("unscored" in warning for warning in found["warnings"])
    nothing = measured(RuleJudge(lambda *_: None))
    assert nothing["overall"]["auc"] is None
    assert nothing["overall"]["false_yes"] is None
    assert shift(nothing, "prompt reworded")["reason"] == "no answer was scored both times"


@pytest.mark.parametrize("score", [math.nan, 1.5, -0.1])
def test_a_score_that_is_none_stops_the_calibration(score: float) -> None:
    with pytest.raises(JudgeError, match=r"expected a score in \[0, 1\]"):
        measured(RuleJudge(lambda *_: score))


def test_two_judges_are_held_against_each_other() -> None:
    noisy = RuleJudge(lambda _, question, __: len(question.prompt) / 200)
    found = measured(PixelsJudge(), against=("noisy", noisy, {"rule": "length"}))
    said = found["agreement"]
    assert said["judge"] == {"name": "noisy", "identity": {"rule": "length"}}
    assert said["controls"]["items"] == 36 * 4 + 40
    assert said["controls"]["alpha_scores"] < 0.5
    distances = [abs(a - b) for a, b in (unit["scores"] for unit in said["controls"]["disagreements"])]
    assert distances == sorted(distances, reverse=True)
    same = measured(PixelsJudge(), against=("pixels", PixelsJudge(), {}))["agreement"]["controls"]
    assert same["alpha_scores"] == same["alpha_yes_no"] == 1.0
    assert same["rank_correlation"] == pytest.approx(1.0)


def test_the_same_judge_gives_the_same_numbers() -> None:
    assert json.dumps(measured(PixelsJudge())) == json.dumps(measured(PixelsJudge()))


# Controls


def test_what_the_controls_show_is_certain() -> None:
    dev = {prompt for pair in shapes_dev_suite().pairs for prompt in pair.prompts}
    renders = [case for case in CONTROLS if case.subtask]
    assert len({case.subtask for case in renders}) == 6
    assert len({case.name for case in CONTROLS}) == len(CONTROLS)
    for case in renders:
        own, one_word, unrelated, reworded = case.probes
        assert (own.label, one_word.label, unrelated.label, reworded.label) == (True, False, False, True)
        assert {own.prompt, one_word.prompt, unrelated.prompt} <= dev
        assert sum(a != b for a, b in zip(own.prompt.split(), one_word.prompt.split(), strict=True)) == 1
        assert reworded.control == PARAPHRASE
        assert reworded.prompt != own.prompt
        assert parse_prompt(reworded.prompt) == parse_prompt(own.prompt)
        shared = set(own.prompt.split()) & set(unrelated.prompt.split())
        assert shared <= {"a", "and", "background", "of", "on", "reads", "sign", "that", "with"}


def test_controls_follow_their_seed() -> None:
    again, other = embedded_controls(3), embedded_controls(3, seed=1)
    assert all(a.image.tobytes() == b.image.tobytes() and a == b for a, b in zip(CONTROLS, again, strict=True))
    assert any(a.image.tobytes() != b.image.tobytes() for a, b in zip(CONTROLS, other, strict=True))


# Measures

SCORES = st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=2, max_size=24)


@given(SCORES)
def test_auc_is_the_chance_that_a_yes_outscores_a_no(answers: list[tuple[int, bool]]) -> None:
    scores = np.array([score / 8 for score, _ in answers])
    labels = np.array([label for _, label in answers])
    pairs = list(itertools.product(scores[labels], scores[~labels]))
    if not pairs:
        assert math.isnan(auc(scores, labels))
        return
    by_hand = sum(1.0 if yes > no else 0.5 if yes == no else 0.0 for yes, no in pairs) / len(pairs)
    assert auc(scores, labels) == pytest.approx(by_hand)
    weights = np.arange(1.0, len(scores) + 1)
    repeated = np.repeat(np.arange(len(scores)), weights.astype(int))
    assert auc(scores, labels, weights) == pytest.approx(auc(scores[repeated], labels[repeated]))


def test_calibration_error_by_hand() -> None:
    scores = np.array([0.05, 0.05, 0.95, 1.0])
    labels = np.array([False, True, True, True])
    assert calibration_error(scores, labels) == pytest.approx((2 * 0.45 + 2 * 0.025) / 4)
    assert calibration_error(np.array([0.0, 1.0]), np.array([False, True])) == 0
    assert [row["items"] for row in reliability(scores, labels)] == [2, 0, 0, 0, 0, 0, 0, 0, 0, 2]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=12))
def test_alpha_equals_its_definition(units: list[tuple[int, int]]) -> None:
    first, second = (np.array(column, dtype=float) for column in zip(*units, strict=True))
    pooled = [*first, *second]
    expected = sum((a - b) ** 2 for a, b in itertools.permutations(pooled, 2)) / (len(pooled) * (len(pooled) - 1))
    alpha = krippendorff_alpha(first, second)
    if expected == 0:
        assert math.isnan(alpha)
        return
    observed = sum((a - b) ** 2 for a, b in units) / len(units)
    assert alpha == pytest.approx(1 - observed / expected)


def test_rank_agreement_is_spearmans() -> None:
    from scipy.stats import spearmanr

    random = np.random.default_rng(0)
    first, second = random.integers(0, 6, (2, 40)).astype(float)
    assert rank_agreement(first, second) == pytest.approx(spearmanr(first, second).statistic)
    assert math.isnan(rank_agreement(first, np.ones(40)))


def test_agreement_leaves_out_what_one_judge_left_unscored() -> None:
    first, second = np.array([0.1, math.nan, 0.9]), np.array([0.1, 0.5, 0.2])
    said = agreement(first, second, [{"image": str(number)} for number in range(3)])
    assert said["items"] == 2
    assert [unit["image"] for unit in said["disagreements"]] == ["2", "0"]


# Human labels


def test_human_labels_are_read_and_measured(tmp_path: Path) -> None:
    Image.new("RGB", (32, 32), "red").save(tmp_path / "red.png")
    Image.new("RGB", (32, 32), "blue").save(tmp_path / "blue.png")
    lines = [("red.png", "red", True), ("red.png", "blue", False), ("blue.png", "blue", True)]
    rows = (json.dumps(dict(zip(("image", "prompt", "label"), line, strict=True))) for line in lines)
    file = tmp_path / "labels.jsonl"
    file.write_text("\n".join(rows) + "\n\n")
    cases = read_labels(file)
    assert [len(case.probes) for case in cases] == [2, 1]

    def looks(image: Image.Image, question: Question, _: int) -> float:
        red, _, blue = image.resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
        return (red if question.prompt == "red" else blue) / 255

    found = measured(RuleJudge(looks), labels=cases)
    assert found["labels"]["auc"] == 1.0
    assert found["labels"]["items"] == 3
    assert measured(RuleJudge(looks))["labels"] is None


def test_every_fault_of_a_label_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    lines = [
        "{",
        "[]",
        '{"image": "text.png", "prompt": "x", "label": true}',
        '{"image": "x", "prompt": ""}',
        '{"image": "gone.png", "prompt": "x", "label": 1}',
        '{"image": "gone.png", "prompt": "x", "label": true}',
    ]
    file = tmp_path / "labels.jsonl"
    file.write_text("\n".join(lines))
    with pytest.raises(ConfigError) as caught:
        read_labels(file)
    said = str(caught.value)
    for fault in ("line 1: not JSON", "line 2: expected an object", "line 4: prompt: expected a text",
                  "line 5: label: expected true or false, got 1", "text.png: not an image file",
                  "gone.png: No such file"):  # fmt: skip
        assert fault in said
    file.write_text("\n")
    with pytest.raises(ConfigError, match="got none"):
        read_labels(file)
    with pytest.raises(ConfigError, match="--labels"):
        read_labels(tmp_path / "absent.jsonl")


# The command

PLUGIN = '''
from paircomp.types import Judgement


class Yes:
    def judge(self, requests):
        for request in requests:
            for question in request.questions:
                yield Judgement(request.key, question.judged_prompt, score=0.9)

    def close(self): ...


def yes(*, checkpoint=None, device="cpu", dtype=None, loud: bool = True):
    """Says yes."""
    return Yes()


JUDGES = {"yes": yes}
'''


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    Path("plugin.py").write_text(PLUGIN)


@pytest.mark.usefixtures("elsewhere")
def test_the_command_prints_a_table_and_writes_json_and_page(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["calibrate", "pixels", "--pairs", "1", "--against", "yes", "--plugin", "plugin.py"]) == 0
    out = capfd.readouterr().out
    for words in ("Calibration of judge pixels", "one word different", "AUC", "prompt reworded", "judge yes"):
        assert words in out
    written = json.loads(Path("calibrations/pixels/calibration.json").read_text())
    assert written["judge"]["identity"]["says"]["rules"]
    page = Path("calibrations/pixels/calibration.html").read_text()
    assert "Reliability: " in page
    assert page == calibration_to_html(written)
    assert len(calibration_panels(written)) == 5
    assert run(["calibrate", "pixels", "--pairs", "1", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["judge"] == written["judge"]


@pytest.mark.usefixtures("elsewhere")
def test_a_run_shows_the_calibration_of_its_judge(capfd: pytest.CaptureFixture[str]) -> None:
    base = ["--plugin", "plugin.py"]
    assert run(["eval", "--model", "sketch", "--limit", "6", "--out", "run"]) == 0
    assert run(["calibrate", "yes", "--pairs", "1", "--run", "run", *base]) == 1
    assert "judge 'yes' has not judged this run" in capfd.readouterr().err
    assert run(["judge", "run", "--judge", "yes", "--limit", "6", *base]) == 0
    assert run(["calibrate", "yes", "--pairs", "1", "--run", "run", "--against", "pixels", "--json", *base]) == 0
    found = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert found["responses"]["own"] == {"items": 24, "yes_rate": 1.0, "ci": found["responses"]["own"]["ci"],
                                         "mean": pytest.approx(0.9)}  # fmt: skip
    assert found["responses"]["swapped"]["items"] == 0
    assert found["agreement"]["run"]["items"] == 24
    assert found["agreement"]["run"]["disagreements"][0]["image"].endswith(".png")
    assert run(["report", "run", "--judge", "yes"]) == 0
    assert "JUDGE yes IS DOUBTFUL: it gives every image the score 0.9" in capfd.readouterr().out
    report = json.loads(Path("run/judges/yes/report.json").read_text())
    assert report["calibration"]["one_word"]["auc"] == 0.5
    for file in ("run/judges/yes/report.md", "run/judges/yes/report.html"):
        assert "Calibration of judge yes" in Path(file).read_text()
    assert run(["calibrate", "yes", "-j", "loud=false", "--run", "run", *base]) == 1
    assert "options.loud: stored True, given False" in capfd.readouterr().err


@pytest.mark.usefixtures("elsewhere")
def test_a_damaged_or_foreign_calibration_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["eval", "--model", "sketch", "--limit", "6", "--out", "run"]) == 0
    file = Path("run/judges/pixels/calibration.json")
    file.write_text("{}")
    assert run(["report", "run"]) == 1
    assert "not a calibration (damaged)" in capfd.readouterr().err
    file.write_text(json.dumps({"judge": {"identity": {"name": "other"}}}))
    assert run(["report", "run"]) == 1
    assert "the calibration of another judge" in capfd.readouterr().err


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["nobody"], "unknown judge 'nobody'"),
        (["pixels", "-j", "x=1"], "x: unknown"),
        (["pixels", "--against", "nobody"], "unknown judge 'nobody'"),
        (["pixels", "--run", "nowhere"], "no run here"),
        (["pixels", "--labels", "nowhere.jsonl"], "nowhere.jsonl"),
    ],
)
def test_faults_are_one_line(capfd: pytest.CaptureFixture[str], options: list[str], said: str) -> None:
    assert run(["calibrate", "--pairs", "1", *options]) == 1
    error = capfd.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
    assert not Path("calibrations").exists()
