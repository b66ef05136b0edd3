"""Evaluating from Python: five lines in a notebook, callables, frames, comparisons."""

import io
import json
from pathlib import Path

import jsonschema
import pytest
from PIL import Image
from rich.console import Console

import paircomp
from paircomp.errors import ConfigError, GenerationError, RunMismatchError, SuiteError
from paircomp.report.comparison_table import render_comparison
from paircomp.report.schema import report_schema


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_five_lines_in_a_notebook() -> None:
    evaluated = paircomp.evaluate("sketch", suite="shapes", limit=12)
    report = evaluated.report()
    assert report["average"]["pairs"] == 12
    assert evaluated.run.path == Path("runs/sketch--shapes--seed0")
    jsonschema.validate(report, report_schema())
    assert "PARTIAL: 12 of 240 pairs" in evaluated._repr_html_()


def test_a_run_can_be_loaded_and_framed() -> None:
    paircomp.evaluate("sketch", limit=6)
    evaluated = paircomp.load_run("runs/sketch--shapes--seed0")
    frame = evaluated.to_frame()
    assert len(frame) == 24
    assert frame["score"].between(0, 1).all()
    assert frame["cross_score"].notna().all()
    pairs = evaluated.pair_frame()
    by_hand = frame.groupby("pair")["score"].mean()
    assert pairs.set_index("pair")["a"].to_dict() == pytest.approx(by_hand.to_dict())
    assert evaluated.report()["pair_weighted"]["s_a"] == pytest.approx(by_hand.mean())


def test_a_function_is_a_model() -> None:
    seeds = []

    def grey(prompt: str, seed: int) -> Image.Image:
        seeds.append(seed)
        return Image.new("RGB", (32, 32), (seed % 256,) * 3)

    evaluated = paircomp.evaluate(grey, limit=3)
    assert len(set(seeds)) == 12
    assert evaluated.report()["coverage"]["scored"] == 12
    assert evaluated.run.identity["model"].startswith("grey-")


def test_an_edited_function_gets_a_run_of_its_own() -> None:
    first = paircomp.evaluate(lambda prompt: Image.new("RGB", (32, 32), "red"), limit=1)
    second = paircomp.evaluate(lambda prompt: Image.new("RGB", (32, 32), "blue"), limit=1)
    assert first.run.path != second.run.path
    assert first.run.generator["seeded"] is False


def test_what_a_function_raises_is_a_reason_and_the_others_are_drawn() -> None:
    def fragile(prompt: str, seed: int) -> Image.Image:
        if seed % 3 == 0:
            raise ValueError(f"no luck\nhere {object()!r}")
        return Image.new("RGB", (32, 32))

    evaluated = paircomp.evaluate(fragile, limit=6)
    reasons = [record["unscored"] for record in evaluated.run.image_records.read() if "unscored" in record]
    assert 0 < len(reasons) < 24
    assert set(reasons) == {"error: ValueError: no luck here <object object>"}
    assert evaluated.report()["coverage"]["scored"] == 24 - len(reasons)


def test_a_function_that_always_fails_stops_the_evaluation_and_says_why() -> None:
    asked = []

    def broken(prompt: str, seed: int) -> Image.Image:
        asked.append(prompt)
        return no_such_name(prompt)  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(GenerationError, match=r"10 times in a row, last: error: NameError: name 'no_such_name'"):
        paircomp.evaluate(broken, limit=60)
    assert len(asked) == 10


def test_a_function_of_three_arguments_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected a function \(prompt\) or \(prompt, seed\)"):
        paircomp.evaluate(lambda a, b, c: None, limit=1)


def test_two_runs_compare() -> None:
    base = paircomp.evaluate("sketch", limit=36)
    better = paircomp.evaluate("sketch-careful", limit=36)
    comparison = base.compare(better)
    assert comparison.names == ("sketch", "sketch-careful")
    assert comparison.average.s_g.difference is not None
    assert comparison.average.s_g.difference > 0
    assert base.compare(base).average.s_g.difference == 0
    assert base.compare(str(better.run.path)).to_json() == comparison.to_json()


def test_a_comparison_names_the_judge_that_a_model_was_trained_with() -> None:
    paircomp.evaluate("sketch", limit=6, out="base")
    paircomp.evaluate("sketch-careful", limit=6, out="tuned")
    manifest = Path("tuned/run.json")
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"trained_with_judge": "pixels"}))
    said = paircomp.load_run("base").compare("tuned").to_json()
    assert said["judge"] == "pixels"
    assert said["trained_with_judge"] == {"a": None, "b": "pixels"}
    assert said["notices"] == ["TRAINED WITH THIS JUDGE: pixels was the training reward of B, sketch-careful"]
    console = Console(width=120, file=io.StringIO())
    console.print(render_comparison(said))
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().startswith("! TRAINED WITH THIS JUDGE: pixels")


def test_runs_of_other_suites_do_not_compare() -> None:
    base = paircomp.evaluate("sketch", limit=2)
    other = paircomp.evaluate("sketch", suite="shapes-dev", limit=2)
    with pytest.raises(RunMismatchError, match=r"suite\.digest") as caught:
        base.compare(other)
    said = str(caught.value)
    assert said.startswith(f"A ({base.run.path}) and B ({other.run.path}) cannot be compared")
    assert said.endswith("next: compare runs of one suite, K and judge")
    assert "--out" not in said


def test_all_faults_are_found_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mistake: unknown, did you mean mistakes\?"):
        paircomp.evaluate("sketch", options={"mistake": 1})
    with pytest.raises(SuiteError):
        paircomp.evaluate("sketch", suite="absent.json")
    with pytest.raises(ConfigError, match="unknown subtask"):
        paircomp.evaluate("sketch", subtasks=["colour-of-money"])
    assert list(tmp_path.iterdir()) == []


def test_the_report_of_a_run_names_what_is_missing() -> None:
    evaluated = paircomp.evaluate("sketch", limit=6)
    (evaluated.run.images_folder / "0_0_0.png").unlink(missing_ok=True)
    first = min(evaluated.pairs())
    (evaluated.run.images_folder / f"{first}_0_0.png").unlink(missing_ok=True)
    report = evaluated.report()
    assert report["coverage"]["unscored"] == 1
    assert report["coverage"]["reasons"][0]["reason"] == "missing: no image"
    assert report["notices"][0].startswith("COVERAGE 95.8% (below 98%): 1 of 24 images unscored")
    excluded, zero = report["readings"]["exclude"]["average"], report["readings"]["zero"]["average"]
    assert excluded["pairs"] == 5
    assert zero["pairs"] == 6
    jsonschema.validate(report, report_schema())


def test_two_undisturbed_runs_give_the_same_report() -> None:
    first = paircomp.evaluate("sketch", limit=12, out="a").report()
    second = paircomp.evaluate("sketch", limit=12, out="b", batch_size=3).report()
    assert json.dumps(first) == json.dumps(second)


def test_a_run_made_by_a_mistake_is_no_obstacle() -> None:
    with pytest.raises(ConfigError, match="mistakes"):
        paircomp.evaluate("sketch", limit=1, options={"mistakes": 2})
    evaluated = paircomp.evaluate("sketch", limit=1)
    assert evaluated.run.identity["recipe"]["mistakes"] == 0.25


def test_two_runs_of_one_model_are_told_apart_by_their_folders() -> None:
    first = paircomp.evaluate("sketch", limit=6, out="a")
    second = paircomp.evaluate("sketch", limit=6, out="b", seed=1)
    assert first.compare(second).names == ("a", "b")
