"""The ablation: what is run and what is not, what is kept, and what tables say of it."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from focusdiff.ablation.arms import ARMS, Arm, arm_named
from focusdiff.ablation.comparing import Comparisons, seed_mean
from focusdiff.ablation.curves import draw_curves
from focusdiff.ablation.results import ArmResult, Measured, read_results, result_path, write_result
from focusdiff.ablation.scheduling import open_work, run_all
from focusdiff.ablation.table import ablation_tables, to_markdown, to_terminal
from focusdiff.ablation.worker import Job, TrainedArm, do_job
from focusdiff.commands import focusdiff
from focusdiff.recipe_reading import shipped_recipes
from paircomp.errors import ConfigError, PairCompError, RunMismatchError, UnknownNameError
from paircomp.scoring import PairValues


def sketched(out: Path, **changed: object) -> Job:
    """An ablation of the embedded sketcher, which needs no weights; it knows no samplers, so none is set."""
    return Job(out, base="sketch", suite="shapes-dev", samplers=(), limit=12, **changed)  # type: ignore[arg-type]


def measured(a: np.ndarray, g: np.ndarray) -> Measured:
    names = ("color", "text")
    subtasks = tuple(names[place % 2] for place in range(len(a)))
    return Measured(PairValues(np.arange(len(a)), subtasks, names, a, g, a - g, g > 0.5), samples=2)


def result(arm: str, seed: int, lift: float, *, setting: str = "one") -> ArmResult:
    dice = np.random.default_rng(seed)
    a = np.clip(0.5 + lift + 0.05 * dice.standard_normal(40), 0, 1)
    g = a - np.clip(0.2 - lift / 2 + 0.02 * dice.standard_normal(40), 0, a)
    curve = [{"step": step, "s_a": 0.5 + lift * step / 70, "s_g": 0.3 + lift * step / 70, "gap": 0.2, "full_pass": 0.1}
             for step in (0, 35, 70)]  # fmt: skip
    return ArmResult(
        arm, seed, {"suite": {"name": "shapes-dev"}, "recipe": setting}, {"plain": {"pixels": measured(a, g)}},
        {"plain": {"distance": 0.01, "blemished": 0.2}},
        {"steps": 70, "flops": {"total": 2e12}, "diagnostics": {"dead groups": 0.5}}, curve,
    )  # fmt: skip


def never(arm: Arm, seed: int, job: Job, folder: Path) -> TrainedArm:
    assert arm.training == "none"
    return TrainedArm()


def test_a_result_survives_its_file(tmp_path: Path) -> None:
    kept = result("pair", 3, 0.1)
    write_result(tmp_path, kept)
    (read,) = read_results(tmp_path)
    assert (read.arm, read.seed, read.curve, read.training) == (kept.arm, kept.seed, list(kept.curve), kept.training)
    before, after = (each.measured["plain"]["pixels"] for each in (kept, read))
    np.testing.assert_allclose(after.values.g, before.values.g, atol=1e-6)
    assert after.average.s_g == pytest.approx(before.average.s_g, abs=1e-6)
    assert list(after.values.passed) == list(before.values.passed)


def test_results_of_other_settings_and_broken_files_are_refused(tmp_path: Path) -> None:
    write_result(tmp_path, result("pair", 0, 0.1))
    write_result(tmp_path, result("vanilla", 0, 0.1, setting="two"))
    with pytest.raises(RunMismatchError, match="recipe: stored 'one', given 'two'"):
        read_results(tmp_path)
    result_path(tmp_path, "vanilla", 0).write_text("{")
    result_path(tmp_path, "vanilla", 1).write_text('{"schema": "other/1"}')
    with pytest.raises(ConfigError, match=r"vanilla--seed0.json.*vanilla--seed1.json.*other/1"):
        read_results(tmp_path)


def test_work_fills_the_table_evenly_and_leaves_out_what_is_done(tmp_path: Path) -> None:
    job = sketched(tmp_path)
    assert open_work(job, {"pair": 2, "wo_gt": 1}) == [
        ("base", 0), ("wo_gt", 0), ("pair", 0), ("base", 1), ("pair", 1)
    ]  # fmt: skip
    do_job("base", 0, job, train=never)
    assert ("base", 0) not in open_work(job, {"pair": 1})
    with pytest.raises(UnknownNameError, match="vanilla"):
        open_work(job, {"vanila": 1})
    with pytest.raises(RunMismatchError, match="steps"):
        open_work(sketched(tmp_path, steps=3), {"pair": 1})


def test_every_arm_that_claims_rest_on_has_seven_seeds() -> None:
    assert {name for name, arm in ARMS.items() if arm.seeds >= 7} == {
        "base", "vanilla", "pair", "sft_more", "sft_pairs"
    }  # fmt: skip
    assert min(arm.seeds for arm in ARMS.values()) == 3
    assert arm_named("pair_literal").negatives == "loss"


def test_a_worker_measures_the_base_once(tmp_path: Path) -> None:
    job = Job(tmp_path, base="sketch", samplers=(), limit=12)
    (outcome,) = run_all(job, [("base", 0)])
    assert outcome.fault is None
    path = result_path(tmp_path, "base", 0)
    stamp = path.stat().st_mtime_ns
    do_job("base", 0, job, train=never)
    assert path.stat().st_mtime_ns == stamp
    assert not list((tmp_path / "work").glob("base--seed0/"))


def test_a_worker_that_fails_is_told_in_its_own_words_and_stops_no_other(tmp_path: Path) -> None:
    job = Job(tmp_path, base="no-such-model", samplers=(), limit=12)
    outcomes = run_all(job, [("base", 0), ("base", 1)], jobs=2)
    assert len(outcomes) == 2
    assert all(each.fault and "no-such-model" in each.fault for each in outcomes)
    assert not list(tmp_path.glob("results/*"))


def test_seed_means_are_students_intervals() -> None:
    found = seed_mean([0.1, 0.2, 0.3, float("nan")])
    assert found is not None
    assert found.interval is not None
    assert (found.mean, found.seeds) == (pytest.approx(0.2), 3)
    assert found.half == pytest.approx(4.302653 * 0.1 / np.sqrt(3), rel=1e-5)  # t of two degrees of freedom
    assert seed_mean([]) is None
    one = seed_mean([0.4])
    assert one is not None
    assert one.interval is None


def test_differences_are_paired_by_seed_and_never_pooled_with_pairs() -> None:
    held = [result(arm, seed, lift + 0.1 * seed) for arm, lift in (("vanilla", 0.0), ("pair", 0.05))
            for seed in range(3)]  # fmt: skip
    found = Comparisons(held, "plain", "pixels").difference("pair", "vanilla", "s_a")
    assert found is not None
    assert found.over_seeds.seeds == 3
    assert found.over_seeds.interval is not None
    assert found.over_pairs is not None
    # Seeds that differ by ten points each cancel out, because the same seed is held against itself.
    assert found.over_seeds.mean == pytest.approx(0.05, abs=0.01)
    assert found.over_seeds.interval.high - found.over_seeds.interval.low < 0.02
    assert found.over_pairs.low < found.over_seeds.mean < found.over_pairs.high
    alone = Comparisons(held[:1] + held[4:5], "plain", "pixels")
    assert alone.difference("pair", "vanilla", "s_a") is None


def test_tables_show_what_is_there_and_dashes_for_the_rest() -> None:
    held = [result("base", 0, 0.0), result("vanilla", 0, 0.2), result("vanilla", 1, 0.21), result("pair", 0, 0.3)]
    tables = {table.title: table for table in ablation_tables(held, judge="pixels")}
    scores = next(table for title, table in tables.items() if title.startswith("plain sampling: shapes-dev"))
    assert [row[:2] for row in scores.rows] == [("base", "1"), ("vanilla GRPO", "2"), ("Pair-GRPO", "1")]
    assert "±" in scores.rows[1][3]
    assert "±" not in scores.rows[2][3]
    differences = tables["plain sampling: differences"]
    assert any(row[0].startswith("Pair-GRPO") and "vanilla" in row[0] for row in differences.rows)
    text = to_markdown(tables.values())
    assert all(line.count("|") == text.splitlines()[2].count("|") for line in text.splitlines()[2:6])
    took = tables["What training took"]
    assert took.rows[0][:4] == ("vanilla GRPO", "70", "–", "2.0")  # noqa: RUF001


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_terminal_of_any_width_shows_every_cell_whole(width: int) -> None:
    held = [result(arm, seed, 0.1 + seed / 100) for arm in ("base", "vanilla", "pair") for seed in range(2)]
    tables = ablation_tables(held, judge="pixels")
    terminal = Console(width=width, file=io.StringIO())
    for table in tables:
        with terminal.capture() as captured:
            terminal.print(to_terminal([table]))
        text = captured.get()
        assert max(map(len, text.splitlines())) <= width
        for row in table.rows:
            pieces = [piece for cell in row for piece in re.split(r" (?=[\[{])", cell)]
            assert [piece for piece in pieces if piece not in text] == [], table.title


def test_curves_are_drawn_the_same_for_the_same_results(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    held = [result(arm, seed, 0.1) for arm in ("vanilla", "pair") for seed in range(2)]
    first, again = (draw_curves(held, tmp_path / name) for name in ("a", "b"))
    assert [path.name for path in first] == ["curves.png", "curves.svg"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    assert draw_curves([result("base", 0, 0.0)], tmp_path)  # one line is a curve
    bare = ArmResult("base", 0, {}, {})
    assert draw_curves([bare], tmp_path) == []


def test_a_seed_without_all_its_measurements_shortens_no_curve(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    held = [result("pair", seed, 0.1) for seed in range(3)]
    short = dataclasses.replace(held[2], curve=held[2].curve[:1] + held[2].curve[-1:])
    drawn, beside = (draw_curves(each, tmp_path / name) for name, each in (("a", held[:2]), ("b", [*held[:2], short])))
    assert len(held[0].curve) > 2
    assert [path.read_bytes() for path in drawn] == [path.read_bytes() for path in beside]


def test_the_command_shows_what_there_is(tmp_path: Path) -> None:
    write_result(tmp_path, result("base", 0, 0.0))
    write_result(tmp_path, result("pair", 0, 0.2))
    said = CliRunner().invoke(focusdiff, ["ablate", "--out", str(tmp_path), "--table-only", "--json"])
    assert said.exit_code == 0, said.output
    assert json.loads(said.stdout)["results"] == [["base", 0], ["pair", 0]]
    assert "Pair-GRPO" in (tmp_path / "table.md").read_text(encoding="utf-8")
    assert (tmp_path / "curves.svg").is_file()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--set", "groups.sample=3"], "groups.sample: unknown, did you mean samples"),
        (["--set", "groups.samples=0"], "groups.samples: expected a count from 2, got 0"),
        (["--recipe", "nothing"], "unknown recipe 'nothing'"),
    ],
)
def test_a_fault_of_the_recipe_is_told_once_before_any_worker_starts(
    tmp_path: Path, options: list[str], said: str
) -> None:
    given = ["ablate", "--out", str(tmp_path / "out"), *options]
    with pytest.raises(PairCompError, match=re.escape(said)):
        CliRunner().invoke(focusdiff, given, catch_exceptions=False)
    assert not (tmp_path / "out").exists()


def test_a_training_whose_result_cannot_be_written_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def trained(arm: Arm, seed: int, job: Job, folder: Path) -> TrainedArm:
        folder.mkdir(parents=True)
        (folder / "weights").write_text("an hour of work")
        return TrainedArm()

    def full(out: Path, result: ArmResult) -> None:
        raise OSError(28, "No space left on device")

    job = sketched(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr("focusdiff.ablation.worker.write_result", full)
        with pytest.raises(OSError, match="No space left"):
            do_job("pair", 0, job, train=trained)
    kept = tmp_path / "work" / "pair--seed0"
    assert (kept / "weights").is_file()
    (kept / "weights").unlink()
    kept.rmdir()
    do_job("pair", 0, job, train=trained)
    assert not kept.exists()
    assert result_path(tmp_path, "pair", 0).is_file()


def test_an_edited_recipe_file_is_another_setting(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(shipped_recipes("rl")["shapes"].read_text(encoding="utf-8"))
    before, shipped = (sketched(tmp_path, recipe=name).setting()["recipe"] for name in (str(recipe), "shapes"))
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("beta = 0.02", "beta = 0.5"))
    assert sketched(tmp_path, recipe=str(recipe)).setting()["recipe"] != before
    assert shipped == {"name": "shapes", "steps": None, "values": {}}
