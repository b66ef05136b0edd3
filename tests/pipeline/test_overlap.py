"""Drawing and judging at the same time: the same run as one after the other, whatever happens to either."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from paircomp.cli import run as paircomp
from paircomp.errors import GenerationError, JudgeError, MissingImagesError, RunError
from paircomp.evaluation import Evaluation
from paircomp.pipeline import StepCount, generate_images, judge_images
from paircomp.pipeline.overlap import draw_while_judging
from paircomp.plugins import Registry
from paircomp.run_store import Run, Selection
from paircomp.steps import both_fit
from paircomp.types import Generated, GenerationRequest, Judgement, JudgeRequest
from tests.parts import FlatGenerator, SteadyJudge, new_run, small_suite

SUITE = small_suite()


class Heard:
    """Keeps what it hears, and whether two calls ever met."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.finished: list[StepCount] = []

    def start(self, count: StepCount, *, what: str) -> None: ...

    def advance(self, count: StepCount) -> None: ...

    def finish(self, count: StepCount) -> None:
        self.finished.append(count)

    def say(self, message: str) -> None:
        self.said.append(message)


def together(run: Run, generator: FlatGenerator, judge: SteadyJudge, heard: Heard | None = None) -> StepCount:
    return draw_while_judging(
        lambda settled, told: generate_images(run, SUITE, lambda: generator, Selection(), who="flat", settled=settled,
                                              batch_size=3, progress=told),
        lambda arriving, told: judge_images(run, SUITE, lambda: judge, Selection(), name="steady", identity={},
                                            cross=True, arriving=arriving, progress=told),
        heard,
    ).result()  # fmt: skip


def scores(run: Run) -> list[object]:
    return run.judge("steady").read(run.read_images(SUITE)).scores.tolist()


@pytest.fixture
def apart(tmp_path: Path) -> Run:
    run = new_run(tmp_path / "apart", SUITE)
    generate_images(run, SUITE, FlatGenerator, Selection(), who="flat")
    judge_images(run, SUITE, SteadyJudge, Selection(), name="steady", identity={}, cross=True)
    return run


def test_each_image_is_judged_once_with_the_scores_of_one_after_the_other(apart: Run, tmp_path: Path) -> None:
    run, judge = new_run(tmp_path / "together", SUITE), SteadyJudge()
    count = together(run, FlatGenerator(), judge)
    assert (count.total, count.new, count.cached) == (32, 32, 0)
    assert len(set(judge.asked)) == len(judge.asked) == 32
    assert scores(run) == scores(apart)


def test_the_judge_works_while_the_generator_draws(tmp_path: Path) -> None:
    seen = threading.Event()

    class Waiting(FlatGenerator):
        def answer(self, request: GenerationRequest) -> Generated:
            if len(self.asked) > 1:
                assert seen.wait(20), "the first image was not judged while the second was drawn"
            return super().answer(request)

    class Seeing(SteadyJudge):
        def judge(self, requests: Sequence[JudgeRequest]) -> Iterator[Judgement]:
            seen.set()
            yield from super().judge(requests)

    assert together(new_run(tmp_path, SUITE), Waiting(), Seeing()).new == 32


def test_a_run_that_was_begun_is_finished(apart: Run, tmp_path: Path) -> None:
    run = new_run(tmp_path / "together", SUITE)
    generate_images(run, SUITE, FlatGenerator, Selection(2), who="flat")
    judge_images(run, SUITE, SteadyJudge, Selection(1), name="steady", identity={}, cross=True)
    (run.images_folder / "0_0_0.png").unlink()  # redrawn as it was, so what was said of it still holds
    judge = SteadyJudge()
    count = together(run, FlatGenerator(), judge)
    assert (count.total, count.cached, count.new) == (32, 8, 24)
    assert len(judge.asked) == 24
    assert scores(run) == scores(apart)


def test_an_image_that_is_drawn_anew_as_another_is_judged_anew(apart: Run) -> None:
    class Brighter(FlatGenerator):
        def answer(self, request: GenerationRequest) -> Generated:
            return super().answer(GenerationRequest(request.key, request.prompt, request.seed ^ 0xFF))

    (apart.images_folder / "0_0_0.png").unlink()
    before = scores(apart)
    judge = SteadyJudge()
    count = together(apart, Brighter(), judge)
    assert judge.asked == [(0, 0, 0, 0), (0, 0, 0, 1)]
    assert (count.total, count.cached, count.new) == (32, 30, 2)
    assert scores(apart) != before


def test_refused_images_are_not_waited_for(tmp_path: Path) -> None:
    class Refusing(FlatGenerator):
        def answer(self, request: GenerationRequest) -> Generated:
            if request.key.pair == 1:
                return Generated(request.key, unscored="refused: no")
            return super().answer(request)

    count = together(new_run(tmp_path, SUITE), Refusing(), SteadyJudge())
    assert (count.total, count.new) == (24, 24)


def test_refused_altogether_is_told_with_the_reason(tmp_path: Path) -> None:
    class Refusing(FlatGenerator):
        def answer(self, request: GenerationRequest) -> Generated:
            return Generated(request.key, unscored="refused: no")

    with pytest.raises(MissingImagesError, match="the generator said: refused: no"):
        together(new_run(tmp_path, SUITE), Refusing(), SteadyJudge())


def test_a_judge_that_breaks_leaves_the_drawing_alone(tmp_path: Path) -> None:
    class Broken(SteadyJudge):
        def judge(self, requests: Sequence[JudgeRequest]) -> Iterator[Judgement]:
            yield Judgement(requests[0].key, 0, score=2.0)

    run, heard = new_run(tmp_path, SUITE), Heard()
    with pytest.raises(JudgeError):
        together(run, FlatGenerator(), Broken(), heard)
    assert len(list(run.images_folder.glob("*.png"))) == 16
    assert len(heard.said) == 1
    assert heard.said[0].startswith("judging has stopped, drawing goes on: judge 'steady' on image ")
    assert together(run, FlatGenerator(), SteadyJudge()).new == 32


@pytest.mark.parametrize("error", [GenerationError("the device fell off"), KeyboardInterrupt()])
def test_a_generator_that_breaks_ends_both_and_keeps_what_there_is(error: BaseException, tmp_path: Path) -> None:
    class Breaking(FlatGenerator):
        def answer(self, request: GenerationRequest) -> Generated:
            if len(self.asked) > 9:
                raise error
            return super().answer(request)

    run, heard = new_run(tmp_path, SUITE), Heard()
    with pytest.raises(type(error)):
        together(run, Breaking(), SteadyJudge(), heard)
    assert sorted(count.step for count in heard.finished) == ["generate", "judge"]
    assert "judge step" not in {thread.name for thread in threading.enumerate()}
    again = together(run, FlatGenerator(), SteadyJudge())
    assert again.cached + again.new == 32


def test_where_another_process_draws_the_judge_step_is_left_to_it(tmp_path: Path) -> None:
    run, judge = new_run(tmp_path, SUITE), SteadyJudge()
    with run.lock("generate"), pytest.raises(RunError, match="the generate step of this run is already being done"):
        together(run, FlatGenerator(), judge)
    assert judge.asked == []
    assert run.judges() == []


def test_eval_gives_the_same_bytes_either_way(tmp_path: Path) -> None:
    command = ["eval", "--model", "sketch", "--limit", "12", "--out"]
    assert paircomp([*command, str(tmp_path / "together"), "--overlap"]) == 0
    assert paircomp([*command, str(tmp_path / "apart"), "--no-overlap"]) == 0
    for name in ("report.json", "report.md", "report.csv", "pairs.csv", "report.html"):
        assert (tmp_path / "together" / name).read_bytes() == (tmp_path / "apart" / name).read_bytes(), name
    for image in (tmp_path / "apart" / "images").iterdir():
        assert (tmp_path / "together" / "images" / image.name).read_bytes() == image.read_bytes()
    steps = [said["step"] for said in json.loads((tmp_path / "together" / "run.json").read_text())["invocations"]]
    assert sorted(steps) == ["generate", "judge"]


def test_only_what_surely_fits_is_loaded_together(tmp_path: Path) -> None:
    def fits(model: str, judge: str) -> bool:
        registry = Registry()
        suite = registry.suite("shapes")
        spec = registry.model(model)
        return both_fit(Evaluation(registry, suite, judge, spec, device="cpu"))

    assert fits("sketch", "pixels")
    assert fits("sketch", "internvl2.5-8b")
    assert fits("janus-pro-7b", "vlm-server")
    assert not fits("janus-pro-7b", "internvl2.5-8b")
