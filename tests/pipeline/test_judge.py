"""The judge step: resumption, contract, unreadable images, several judges."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from paircomp.errors import JudgeError, MissingImagesError, RunMismatchError
from paircomp.pipeline import StepCount, generate_images, import_images, judge_images
from paircomp.run_store import ImageIndex, ImageState, Run, Selection
from paircomp.run_store.score_table import read_judged
from paircomp.types import ImageKey, Judgement, JudgeRequest
from tests.parts import IDENTITY, FlatGenerator, SteadyJudge, flat, new_run, small_suite

SUITE = small_suite()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = new_run(tmp_path / "run", SUITE)
    generate_images(made, SUITE, FlatGenerator, Selection(), who="flat")
    return made


def judge(run: Run, part: Any, *, cross: bool = False, name: str = "steady", batch: int | None = None) -> StepCount:
    return judge_images(run, SUITE, lambda: part, Selection(), name=name, identity={"name": name}, cross=cross,
                        batch_size=batch)  # fmt: skip


def scores(run: Run, name: str = "steady") -> Any:
    return run.judge(name).read(run.read_images(SUITE)).scores


def test_every_question_is_asked_once_and_then_cached(run: Run) -> None:
    first = SteadyJudge()
    count = judge(run, first)
    assert (count.total, count.new, count.cached) == (16, 16, 0)
    assert len(set(first.asked)) == 16
    again = SteadyJudge()
    assert judge(run, again).cached == 16
    assert again.asked == []


def test_asking_about_the_other_prompt_later_adds_only_that(run: Run) -> None:
    judge(run, SteadyJudge())
    more = SteadyJudge()
    count = judge(run, more, cross=True)
    assert (count.total, count.cached, count.new) == (32, 16, 16)
    assert all(prompt != judged for _, prompt, _, judged in more.asked)
    assert not np.isnan(scores(run)).any()


@pytest.mark.parametrize("batch", [1, 3, 16])
def test_batches_change_no_score(batch: int, run: Run) -> None:
    judge(run, SteadyJudge(), cross=True)
    judge(run, SteadyJudge(), cross=True, name="other", batch=batch)
    np.testing.assert_array_equal(scores(run), scores(run, "other"))
    assert run.judges() == ["other", "steady"]


def test_a_changed_image_is_judged_again(run: Run) -> None:
    judge(run, SteadyJudge())
    (run.images_folder / "3_0_0.png").unlink()
    generate_images(run, SUITE, FlatGenerator, Selection(), who="flat")
    again = SteadyJudge()
    judge(run, again)
    assert again.asked == []  # redrawn from its seed: the same bytes

    class Brighter(FlatGenerator):
        def answer(self, request: Any) -> Any:
            return type(super().answer(request))(request.key, flat(request.seed + 1))

    (run.images_folder / "3_0_0.png").unlink()
    generate_images(run, SUITE, Brighter, Selection(), who="flat")
    judge(run, again)
    assert again.asked == [(3, 0, 0, 0)]


def test_images_that_always_fail_keep_no_run_from_its_end(tmp_path: Path) -> None:
    suite = small_suite(20)
    run = new_run(tmp_path / "run", suite)
    generate_images(run, suite, FlatGenerator, Selection(), who="flat")

    class Fragile(SteadyJudge):
        def judge(self, requests: Sequence[JudgeRequest]) -> Iterator[Judgement]:
            if any(request.key.prompt == 0 for request in requests):
                raise ValueError("too large")
            yield from super().judge(requests)

    def ask() -> StepCount:
        return judge_images(run, suite, Fragile, Selection(), name="fragile", identity={"name": "fragile"}, cross=False)

    first, second = ask(), ask()

    half = first.total // 2
    assert (first.new, first.unscored) == (2 * half, half)
    assert (second.cached, second.new) == (half, 9)
    table = run.judge("fragile").read(run.read_images(suite))
    assert int(np.isfinite(table.scores).sum()) == half


def swap_files(folder: Path, one: str, other: str) -> None:
    """Each takes the other's place; both keep their size and time of modification."""
    (folder / one).rename(folder / "held")
    (folder / other).rename(folder / one)
    (folder / "held").rename(folder / other)


def test_images_that_changed_places_are_drawn_again_and_not_scored(run: Run) -> None:
    judge(run, SteadyJudge())
    before = scores(run)
    sizes = {path.stat().st_size for path in run.images_folder.glob("*.png")}
    assert len(sizes) == 1
    swap_files(run.images_folder, "0_0_0.png", "3_1_1.png")

    found = read_judged(run, SUITE, "steady", range(4))
    assert np.isnan(found.table.own).sum() == 2
    assert found.reason(ImageKey(0, 0, 0)) == "the image changed since it was recorded"

    generator = FlatGenerator()
    generate_images(run, SUITE, lambda: generator, Selection(), who="flat")
    assert generator.asked == [(0, 0, 0), (3, 1, 1)]
    np.testing.assert_array_equal(scores(run), before)  # the same bytes as before, whose judgements hold


def test_a_change_outside_the_selection_is_still_known_after_others_are_drawn(run: Run) -> None:
    swap_files(run.images_folder, "0_0_0.png", "3_1_1.png")
    (run.images_folder / "1_0_0.png").unlink()
    generate_images(run, SUITE, FlatGenerator, Selection(subtasks=("text",)), who="flat")
    assert run.read_images(SUITE).changed == {(0, 0, 0)}


def test_files_that_are_only_copied_are_compared_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in run.images_folder.glob("*.png"):
        path.write_bytes(path.read_bytes())
    assert (run.read_images(SUITE).state == ImageState.DRAWN).all()

    def unread(*given: Any) -> bytes:
        raise AssertionError("an image was read again")

    monkeypatch.setattr(ImageIndex, "_is_recorded", unread)
    assert (run.read_images(SUITE).state == ImageState.DRAWN).all()


def test_an_image_that_changes_while_it_is_judged_is_unscored_and_tried_again(run: Run) -> None:
    there = run.read_images(SUITE)
    swap_files(run.images_folder, "0_0_0.png", "3_1_1.png")
    part = SteadyJudge()
    count = judge_images(run, SUITE, lambda: part, Selection(), name="steady", identity={"name": "steady"}, cross=False,
                         images=there)  # fmt: skip
    assert (count.new, count.unscored) == (16, 2)
    assert {(0, 0, 0, 0), (3, 1, 1, 1)}.isdisjoint(part.asked)
    said = [record for record in run.judge("steady").records.read() if "unscored" in record]
    assert [(record["unscored"], record["retry"]) for record in said] == [
        ("the image changed since it was recorded", True)
    ] * 2


def encoded(image: Image.Image, kind: str) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


def test_unreadable_images_are_unscored_with_their_reason_and_others_go_on(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    good = encoded(flat(7), "PNG")
    contents = {"0_0_0": b"", "0_0_1": b"junk", "0_1_0": good[:50], "0_1_1": encoded(Image.new("CMYK", (4, 4)), "TIFF"),
                "1_0_0": encoded(Image.new("RGBA", (4, 4)), "PNG"), "1_0_1": encoded(Image.new("L", (4, 4)), "PNG"),
                "1_1_0": encoded(flat(7).quantize(2), "PNG"),
                "1_1_1": encoded(Image.fromarray(np.full((4, 4), 9000, np.uint16)), "PNG")}  # fmt: skip
    for name, content in contents.items():
        (folder / f"{name}.png").write_bytes(content)
    (folder / "2_0_0.png").mkdir()
    (folder / "notes.txt").write_text("not an image")
    run = Run.create(tmp_path / "run", suite=SUITE, identity={**IDENTITY, "adapter": "images"}, images=folder)
    assert import_images(run, SUITE, Selection()).new == 8
    count = judge(run, SteadyJudge())
    assert (count.total, count.unscored) == (8, 3)
    table = run.judge("steady").read(run.read_images(SUITE))
    said = {key: reason.split(":")[1].split("(")[0].strip() for key, reason in table.reasons.items()}
    assert said == {(0, 0, 0, 0): "file is empty", (0, 0, 1, 0): "not an image file",
                    (0, 1, 0, 1): "not a readable image"}  # fmt: skip
    assert np.count_nonzero(~np.isnan(table.scores)) == 5


def test_a_mended_image_in_a_folder_is_judged(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "0_0_0.png").write_bytes(b"")
    run = Run.create(tmp_path / "run", suite=SUITE, identity={**IDENTITY, "adapter": "images"}, images=folder)
    import_images(run, SUITE, Selection())
    assert judge(run, SteadyJudge()).unscored == 1
    (folder / "0_0_0.png").write_bytes(encoded(flat(9), "PNG"))
    assert import_images(run, SUITE, Selection()).new == 1
    count = judge(run, SteadyJudge())
    assert (count.new, count.unscored) == (1, 0)
    assert import_images(run, SUITE, Selection()).new == 0


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("absent", "got nothing"),
        ("file", "got a file"),
        ("empty", "no image of suite 'small' is here, expected names such as 0_0_0.png"),
    ],
)
def test_a_folder_without_images_is_an_error(folder: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    run = Run.create(
        tmp_path / "run", suite=SUITE, identity={**IDENTITY, "adapter": "images"}, images=tmp_path / folder
    )
    with pytest.raises(MissingImagesError, match=said):
        import_images(run, SUITE, Selection())


def test_judging_before_drawing_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MissingImagesError, match=r"no image to judge; next: paircomp generate"):
        judge(new_run(tmp_path, SUITE), SteadyJudge())


class Bad(SteadyJudge):
    """Sound for the first pair, then answers with `value`."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value

    def answer(self, request: JudgeRequest, judged_prompt: int, score: float) -> Judgement:
        if request.key.pair == 0:
            return super().answer(request, judged_prompt, score)
        return Judgement(request.key, judged_prompt, **self.value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"score": float("nan")}, r"expected a score in \[0, 1\], got nan"),
        ({"score": 1.01}, r"expected a score in \[0, 1\], got 1.01"),
        ({"score": -0.5}, r"got -0.5"),
        ({"score": "high"}, r"got 'high'"),
        ({"score": True}, r"judge 'steady' on image .*expected a score in \[0, 1\], got True"),
        ({"score": np.float32("nan")}, r"expected a score in \[0, 1\]"),
        ({"score": 0.5, "log_yes": "-1"}, r"log_yes: expected finite .* got '-1'"),
        ({"score": 0.5, "evidence": {"seen": np.zeros(2)}}, r"evidence.seen: expected JSON values, got ndarray"),
        ({"score": 0.5, "evidence": {"deep": [float("nan")]}}, r"evidence.deep\[0\]: expected JSON .* got nan"),
        ({"unscored": ""}, r"expected a reason in words"),
        ({}, r"neither a score nor a reason"),
        ({"score": 0.5, "unscored": "why"}, r"both a score and a reason"),
        ({"score": 0.5, "log_yes": float("-inf"), "log_no": 0.0}, r"finite log_yes"),
    ],
)
def test_a_bad_score_stops_the_step_and_keeps_the_good_ones(value: dict[str, Any], said: str, run: Run) -> None:
    with pytest.raises(JudgeError, match=said):
        judge(run, Bad(value))
    count = judge(run, SteadyJudge())
    assert (count.cached, count.new) == (4, 12)


def test_numbers_of_numpy_are_taken_as_numbers(run: Run) -> None:
    judge(run, Bad({"score": np.float32(0.5), "log_yes": np.float32(-1), "evidence": {"boxes": [np.int64(3)]}}))
    *_, record = run.judge("steady").records.read()
    assert (record["score"], record["log_yes"], record["evidence"]) == (0.5, -1.0, {"boxes": [3]})
    assert judge(run, SteadyJudge()).new == 0


def test_a_damaged_judgement_is_asked_again_and_told_only_then(run: Run) -> None:
    judge(run, SteadyJudge())
    (part,) = run.judge("steady").records.parts()
    lines = part.read_text().splitlines(keepends=True)
    part.write_text("".join([*lines[:-2], lines[-2].replace('"score":', '"scored":'), "{}\n"]))
    count = judge(run, SteadyJudge())
    assert (count.new, count.dropped) == (2, 2)
    count = judge(run, SteadyJudge())
    assert (count.new, count.dropped) == (0, 0)


def test_an_unscored_answer_is_final_and_no_zero(run: Run) -> None:
    count = judge(run, Bad({"unscored": "cannot tell"}))
    assert (count.new, count.unscored) == (16, 12)
    assert np.isnan(scores(run)[1:, 0, :, 0]).all()
    assert judge(run, SteadyJudge()).new == 0


def test_a_failing_question_is_unscored_and_asked_again(run: Run) -> None:
    class Failing(SteadyJudge):
        def judge(self, requests: Sequence[JudgeRequest]) -> Iterator[Judgement]:
            if any(request.key == (1, 1, 1) for request in requests):
                raise TimeoutError("no answer in 30 s")
            yield from super().judge(requests)

    count = judge(run, Failing(), batch=8)
    assert (count.new, count.unscored) == (16, 1)
    assert judge(run, SteadyJudge()).new == 1


@pytest.mark.parametrize("batch", [1, 8])
def test_what_was_answered_before_a_judge_broke_is_not_asked_again(batch: int, run: Run) -> None:
    class Breaking(SteadyJudge):
        def judge(self, requests: Sequence[JudgeRequest]) -> Iterator[Judgement]:
            for judgement in super().judge(requests):
                if judgement.key == (1, 1, 1) and judgement.judged_prompt == 1:
                    raise TimeoutError("no answer in 30 s")
                yield judgement

    breaking = Breaking()
    count = judge(run, breaking, cross=True, batch=batch)
    assert (count.total, count.new, count.unscored) == (32, 32, 1)
    assert [asked for asked in breaking.asked if asked[:3] == (1, 1, 1)].count((1, 1, 1, 0)) == 1
    assert np.isnan(scores(run)).sum() == 1
    assert judge(run, SteadyJudge(), cross=True).new == 1


def test_the_same_judge_with_other_settings_is_refused(run: Run) -> None:
    class Versioned(SteadyJudge):
        identity = {"version": 1}

    judge(run, Versioned(), cross=False)
    Versioned.identity = {"version": 2}
    with pytest.raises(RunMismatchError, match=r"says.version: stored 1, given 2"):
        judge(run, Versioned(), cross=True)
