"""What is told of a run while it goes on, and that none of it changes the run."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console

from focusdiff.observers.building import build_observers
from focusdiff.observers.lines import ProgressLines
from focusdiff.observers.panel import LivePanel
from focusdiff.observers.samples import draw_grid
from focusdiff.observers.trackers import Trackers
from focusdiff.recipe import RLRecipe
from paircomp.errors import ConfigError, UnavailableError, UnknownNameError
from tests.adapters.tiny_janus import save_tiny_janus
from tests.focusdiff.training_parts import Brightness, metrics, small_recipe, trained, weights

TRACKED: dict[str, Any] = {
    "loop__steps": 3, "loop__checkpoint_every": 1, "tracking__samples_every": 2, "tracking__samples": 5,
    "tracking__trackers": ["tensorboard"], "tracking__evaluate_every": 2, "tracking__evaluate_pairs": 6,
    "tracking__evaluate_judges": ["pixels"],
}  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    save_tiny_janus(folder)
    return folder


def observed(recipe: RLRecipe, out: Path, **options: Any) -> Path:
    lines = ProgressLines(recipe.loop.steps, each=True)
    return trained(recipe, out, observers=build_observers(recipe, out, device="cpu", lines=lines), **options)


@pytest.fixture(scope="module")
def watched(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("watched")
    observed(small_recipe(base, **TRACKED), out)
    return out


def evaluations(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "evaluations.jsonl").read_text().splitlines()]


def test_who_watches_changes_nothing(base: Path, watched: Path, tmp_path: Path) -> None:
    trained(small_recipe(base, loop__steps=3, loop__checkpoint_every=1), tmp_path)

    assert weights(tmp_path / "model") == weights(watched / "model")
    assert metrics(tmp_path) == metrics(watched)
    said = [json.loads((out / "model" / "training.json").read_text()) for out in (tmp_path, watched)]
    assert "tracking" not in said[0]["recipe"]


def test_checkpoints_are_evaluated_by_the_harness(watched: Path) -> None:
    lines = evaluations(watched)

    assert [(line["step"], line["judge"], line["held_out"]) for line in lines] == [
        (2, "pixels", False), (3, "pixels", False)]  # fmt: skip
    for line in lines:
        assert line["asked"]["suite"] == "shapes-dev"
        assert line["images"] == line["scored"] == 24
        assert len(line["subtasks"]) == 6
        assert 0 <= line["s_g"] <= line["s_a"] <= 1
    assert (watched / "evaluations" / "000002" / "run.json").is_file()


def test_a_finished_evaluation_is_not_repeated_and_a_missing_one_is_made_up_for(
    base: Path, watched: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConnectionError):  # the second checkpoint was evaluated, then the server is gone
        observed(small_recipe(base, **TRACKED), tmp_path, reward=Brightness(stop_after=4))
    before = (tmp_path / "evaluations.jsonl").read_text()
    observed(small_recipe(base, **TRACKED), tmp_path)

    assert [line["step"] for line in evaluations(tmp_path)] == [2, 3]
    assert (tmp_path / "evaluations.jsonl").read_text().startswith(before) != ""
    assert [line["s_g"] for line in evaluations(tmp_path)] == [line["s_g"] for line in evaluations(watched)]

    (tmp_path / "evaluations.jsonl").write_text(before + '{"torn')
    observed(small_recipe(base, **TRACKED), tmp_path)
    assert [json.loads(line)["step"] for line in (tmp_path / "evaluations.jsonl").read_text().splitlines()
            if not line.startswith('{"torn')] == [2, 3]  # fmt: skip


def test_an_evaluation_that_fails_is_noted_and_training_goes_on(base: Path, tmp_path: Path) -> None:
    recipe = small_recipe(base, **TRACKED)
    (tmp_path / "evaluations").write_text("a file, where a folder should be")

    observed(recipe, tmp_path)

    assert [line["step"] for line in evaluations(tmp_path)] == [2, 3]
    assert all("evaluations" in line["failed"] for line in evaluations(tmp_path))
    assert (tmp_path / "model").is_dir()
    (tmp_path / "evaluations").unlink()
    observed(recipe, tmp_path)  # a finished run, taken up once more
    assert evaluations(tmp_path)[-1]["s_a"] > 0


def test_what_cannot_be_evaluated_is_told_before_anything_starts(base: Path, tmp_path: Path) -> None:
    for values, error in (
        ({"tracking__evaluate_suite": "shapse"}, UnknownNameError),
        ({"tracking__evaluate_judges": ["pixel"]}, UnknownNameError),
        ({"tracking__evaluate_options": {"guidence": 2.0}}, ConfigError),
    ):
        with pytest.raises(error):
            build_observers(small_recipe(base, **{**TRACKED, **values}), tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def test_faults_of_the_section_are_told_at_once(base: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        small_recipe(
            base, loop__checkpoint_every=2, tracking__evaluate_every=3, tracking__samples=0, tracking__samples_every=-1
        )

    assert "tracking.evaluate_every: expected a multiple of loop.checkpoint_every (2), got 3" in str(caught.value)
    assert "tracking.samples: expected a count from 1, got 0" in str(caught.value)
    assert "tracking.samples_every: expected a count from 0, got -1" in str(caught.value)


def test_another_section_may_continue_a_run(base: Path, watched: Path) -> None:
    before = weights(watched / "model")

    trained(small_recipe(base, loop__steps=3, loop__checkpoint_every=1), watched)

    assert weights(watched / "model") == before


def test_trackers_get_the_numbers_of_steps_and_evaluations(watched: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(watched / "tensorboard"))
    found.Reload()

    assert [each.step for each in found.Scalars("reward")] == [1, 2, 3]
    assert [each.value for each in found.Scalars("reward")] == pytest.approx(
        [line["reward"] for line in metrics(watched)]
    )
    assert [each.step for each in found.Scalars("evaluation/pixels/s_g")] == [2, 3]


def test_a_tracker_without_its_package_is_told_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"focusdiff_no_tracker.*python -m pip install"):
        Trackers(["tensorboard", "focusdiff_no_tracker"], project="p", run=tmp_path)  # type: ignore[list-item]


def test_lines_say_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    lines = ProgressLines(2, each=True)
    lines.on_step(0, {"reward": 0.25, "learning_rate": 2e-4})
    lines.on_event(0, "resumed", "from 000001")
    lines.on_evaluation(1, {"evaluation/pixels/s_g": 0.5})

    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("rl: step 1 of 2, reward 0.250, rate 0.0002, ")
    assert said[1:] == ["rl: step 0, resumed: from 000001", "rl: evaluated after step 1: pixels/s_g 0.500"]


def test_the_panel_says_it_all_within_a_width() -> None:
    console = Console(width=76, record=True, file=io.StringIO())
    panel = LivePanel(70, console=console)
    panel.on_event(3, "learning rate", "cut to 0.6 " * 20)
    panel.on_evaluation(3, {"evaluation/pixels/s_g": 0.5})
    numbers = {"reward": 0.25, "learning_rate": 2e-4, "reward/color": 0.5, "seconds/rollout": 1.25}
    console.print(panel.drawn(4, numbers))

    said = console.export_text()
    for each in (
        "step 5 of 70",
        "0.250",
        "color",
        "rollout",
        "1.250 s",
        "step 3, evaluated: pixels/s_g 0.500",
        "0.0002",
    ):
        assert each in said
    assert max(map(len, said.splitlines())) <= 76


def test_a_grid_of_samples_is_written(watched: Path) -> None:
    assert sorted(path.name for path in (watched / "samples").iterdir()) == ["000000.png", "000002.png"]
    with Image.open(watched / "samples" / "000002.png") as grid:
        assert grid.width > 4 * 160
        assert len(set(grid.convert("RGB").get_flattened_data())) > 50


def test_a_grid_says_prompt_and_reward() -> None:
    pictures = [Image.new("RGB", (16, 16), "red")] * 2

    one = draw_grid(["a red square"] * 2, pictures, [0.5, math.nan], title="step 0")
    other = draw_grid(["a red square"] * 2, pictures, [0.5, 0.25], title="step 0")

    assert one.size == other.size
    assert one.tobytes() != other.tobytes()
