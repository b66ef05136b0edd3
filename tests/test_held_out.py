"""A model trained with a judge's score gets a second opinion, and a report that says when there is none."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

from paircomp.cli import run
from paircomp.errors import ConfigError
from paircomp.evaluation import Evaluation, load_run
from paircomp.model_choice import training_judge
from paircomp.plugins import Registry
from paircomp.report.html import to_html
from paircomp.report.markdown import to_markdown
from paircomp.report.schema import Report, report_schema
from paircomp.runtime.training_manifest import trained_with_judge
from paircomp.suites import load_suite

PLUGIN = '''
"""A suite of shapes with a held-out judge, models that were trained with a judge, and judges to be held out."""

from dataclasses import replace

from paircomp.suites.shapes_suites import shapes_suite
from paircomp.types import Judgement, ModelSpec


class Strict:
    """Gives each image the same score, and breaks after some images where it is told to."""

    def __init__(self, score, breaks_after=None):
        self.score, self.left = score, breaks_after

    def judge(self, requests):
        for request in requests:
            for question in request.questions:
                if self.left == 0:
                    raise RuntimeError("the second judge's GPU fell off the bus")
                self.left = None if self.left is None else self.left - 1
                yield Judgement(request.key, question.judged_prompt, score=self.score)

    def close(self): ...


def strict(*, checkpoint=None, device="cpu", dtype=None):
    """Gives every image 0.25."""
    return Strict(0.25)


def half(*, checkpoint=None, device="cpu", dtype=None):
    """Breaks for good after 48 answers."""
    return Strict(0.25, breaks_after=48)


def broken(*, checkpoint=None, device="cpu", dtype=None):
    """Cannot be opened."""
    raise OSError("no weights on this machine")


JUDGES = {"strict": strict, "half": half, "broken": broken}
SUITES = {
    f"shapes-{name}": lambda name=name: replace(shapes_suite(), name=f"shapes-{name}", held_out_judge=name)
    for name in ("strict", "half", "broken", "absent", "pixels")
}
SUITES["shapes-alone"] = lambda: replace(shapes_suite(), name="shapes-alone", held_out_judge=None)
MODELS = (
    ModelSpec(name="tuned", adapter="sketch", trained_with_judge="pixels", suite="shapes-strict"),
    ModelSpec(name="tuned-strict", adapter="sketch", trained_with_judge="strict", suite="shapes-strict"),
)
'''


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "130")
    Path("plugin.py").write_text(PLUGIN)


def evaluate(capfd: pytest.CaptureFixture[str], *options: str, model: str = "tuned", limit: int = 24) -> Report:
    command = ["eval", "--model", model, "--limit", str(limit), "--plugin", "plugin.py", "--out", "run", "--json"]
    assert run([*command, *options]) == 0
    report: Report = json.loads(capfd.readouterr().out)
    jsonschema.validate(report, report_schema())
    return report


def test_both_judges_and_their_difference_are_reported(capfd: pytest.CaptureFixture[str]) -> None:
    report = evaluate(capfd)
    held_out = report["held_out"]
    assert held_out["judge"] == "strict"
    assert held_out["trained_with_judge"] == "pixels"
    assert held_out["problem"] is None
    assert held_out["average"] is not None
    average = held_out["average"]["s_g"]
    assert held_out["average"]["pairs"] == 24
    assert average["judge"] == report["average"]["s_g"]
    assert average["held_out"] == pytest.approx(0.25)
    assert average["difference"] == pytest.approx(report["average"]["s_g"] - 0.25)
    assert average["ci"] is not None
    assert average["ci"][0] < average["difference"] < average["ci"][1]
    assert report["notices"] == [
        "PARTIAL: 24 of 240 pairs", "TRAINED WITH THIS JUDGE: pixels was this model's training reward",
    ]  # fmt: skip


def test_every_form_of_the_report_shows_both(capfd: pytest.CaptureFixture[str]) -> None:
    report = evaluate(capfd)
    assert run(["report", "run"]) == 0
    table = capfd.readouterr().out
    difference = f"{100 * (report['average']['s_g'] - 0.25):+.1f}"
    for form in (table, to_markdown(report), to_html(report)):
        assert "Held-out judge" in form
        assert "strict" in form
        assert "25.0" in form
        assert difference in form


def test_a_second_command_asks_the_held_out_judge_nothing_new(capfd: pytest.CaptureFixture[str]) -> None:
    first = evaluate(capfd)
    assert run(["eval", "--model", "tuned", "--limit", "24", "--plugin", "plugin.py", "--out", "run"]) == 0
    assert capfd.readouterr().err.count("0 new") == 3
    assert load_run("run").report("pixels") == first


@pytest.mark.parametrize(
    ("suite", "reason"),
    [
        ("shapes-broken", "broken MISSING: .*no weights on this machine"),
        ("shapes-absent", "absent MISSING: .*unknown judge 'absent'"),
        ("shapes-pixels", "MISSING: .*'pixels' itself, this model's training reward"),
        ("shapes-alone", "MISSING: .*suite 'shapes-alone' names no held-out judge"),
    ],
)
def test_the_first_line_says_when_there_is_no_second_opinion(
    capfd: pytest.CaptureFixture[str], suite: str, reason: str
) -> None:
    report = evaluate(capfd, "--suite", suite, limit=12)
    assert re.match(f"HELD-OUT JUDGE ?{reason}", report["notices"][0])
    assert report["held_out"]["average"] is None
    assert report["coverage"]["scored"] == 48  # the evaluation itself went on
    assert run(["report", "run"]) == 0
    assert capfd.readouterr().out.startswith("! HELD-OUT JUDGE")
    for form in (to_markdown(report), to_html(report)):
        assert form.find("HELD-OUT JUDGE") < form.find("TRAINED WITH THIS JUDGE")


def test_a_held_out_judge_that_breaks_half_way_is_told_and_what_it_said_is_shown(
    capfd: pytest.CaptureFixture[str],
) -> None:
    report = evaluate(capfd, "--suite", "shapes-half")
    assert "HELD-OUT JUDGE half INCOMPLETE" in report["notices"][0]
    assert "fell off the bus" in report["notices"][0]
    held_out = report["held_out"]
    assert sum(line["pairs"] for line in held_out["subtasks"].values()) == 12
    empty = [line for line in held_out["subtasks"].values() if not line["pairs"]]
    assert empty
    assert empty[0]["s_g"] == {"judge": None, "held_out": None, "difference": None, "ci": None}


def test_no_second_opinion_is_needed_without_training_or_by_the_held_out_judge_itself(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert "held_out" not in evaluate(capfd, "--suite", "shapes-strict", model="sketch", limit=6)
    assert load_run("run").run.judges() == ["pixels"]
    report = evaluate(capfd, "--judge", "strict", "--out", "other", limit=6)
    assert "held_out" not in report
    assert load_run("other").run.judges() == ["strict"]


def test_where_the_held_out_judge_was_the_reward_the_suites_own_judge_gives_the_second_opinion(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """By its own judge a run needs none; by the training reward it is judged by the suite's own judge too."""
    report = evaluate(capfd, model="tuned-strict", limit=6)
    assert "held_out" not in report
    assert load_run("run").run.judges() == ["pixels"]
    report = evaluate(capfd, "--judge", "strict", model="tuned-strict", limit=6)
    assert report["held_out"]["judge"] == "pixels"
    assert report["held_out"]["average"] is not None
    assert report["held_out"]["average"]["s_a"]["difference"] < 0


def test_a_training_manifest_beside_the_weights_marks_the_model(capfd: pytest.CaptureFixture[str]) -> None:
    folder = Path("trained")
    folder.mkdir()
    (folder / "training.json").write_text(json.dumps({"trained_with_judge": "pixels"}))
    assert trained_with_judge("trained") == "pixels"
    assert trained_with_judge("someone/on-the-hub") is None
    assert trained_with_judge(None) is None


def test_the_catalogue_tells_of_pictures_and_checkpoints_too(tmp_path: Path) -> None:
    registry = Registry()
    for named in ({"model": "janus-focusdiff-7b"}, {"model": "mine", "checkpoint": "wendell0218/Janus-FocusDiff-7B"},
                  {"model": "wendell0218/Janus-FocusDiff-7B"}):  # fmt: skip
        assert training_judge(registry, **named) == "internvl2.5-26b"
    assert training_judge(registry, model="sketch") is None

    (tmp_path / "pictures").mkdir()
    evaluation = Evaluation(
        registry=registry, suite=load_suite(registry, "shapes"), judge="pixels", images=tmp_path / "pictures",
        name="janus-tiny-focusdiff", out=tmp_path / "run",
    )  # fmt: skip
    trained = evaluation.open_run().manifest["trained_with_judge"]
    assert trained is not None
    assert trained == trained_with_judge(registry.model("janus-tiny-focusdiff").checkpoint)


@pytest.mark.parametrize("content", ["{", "[]", '{"trained_with_judge": 3}'])
def test_a_mark_that_cannot_be_read_is_not_taken_for_no_mark(content: str) -> None:
    folder = Path("trained")
    folder.mkdir()
    (folder / "training.json").write_text(content)
    with pytest.raises(ConfigError, match=r"trained.training\.json"):
        trained_with_judge("trained")


def test_a_damaged_record_of_the_problem_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    evaluate(capfd, limit=6)
    Path("run/judges/held-out.json").write_text("{")
    assert run(["report", "run", "--judge", "pixels"]) == 1
    assert "not a record of held-out judging" in capfd.readouterr().err


def test_too_little_coverage_stays_the_first_line(capfd: pytest.CaptureFixture[str]) -> None:
    report = evaluate(capfd, "--suite", "shapes-broken", limit=12)
    assert report["notices"][0].startswith("HELD-OUT JUDGE")
    evaluated = load_run("run")
    for image in sorted(evaluated.run.images_folder.iterdir())[:4]:
        image.unlink()
    notices = evaluated.report("pixels")["notices"]
    assert [notice.split()[0] for notice in notices[:2]] == ["COVERAGE", "HELD-OUT"]
