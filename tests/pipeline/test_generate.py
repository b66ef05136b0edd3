"""The generate step: resumption, contract, failures, memory."""

import contextlib
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from paircomp.errors import AdapterError, GenerationError, OutOfMemory, RunError, RunMismatchError
from paircomp.pipeline import generate_images
from paircomp.pipeline.progress import Silent, StepCount
from paircomp.run_store import ImageState, Run, Selection
from paircomp.types import Generated, GenerationRequest, ImageKey
from tests.parts import IDENTITY, FlatGenerator, flat, new_run, small_suite

SUITE = small_suite()


def generate(path: Path, generator: object, *, limit: int | None = None, batch_size: int | None = None):
    run = new_run(path, SUITE)
    return run, generate_images(run, SUITE, lambda: generator, Selection(limit), who="flat", batch_size=batch_size)  # type: ignore[arg-type,return-value]


def pixels(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (path / "images").iterdir()}


def test_every_image_is_drawn_once_and_then_cached(tmp_path: Path) -> None:
    first = FlatGenerator()
    run, count = generate(tmp_path, first)
    assert (count.total, count.new, count.cached, count.unscored) == (16, 16, 0, 0)
    assert first.closed == 1
    again = FlatGenerator()
    _, count = generate(tmp_path, again)
    assert (count.cached, count.new, again.asked, again.closed) == (16, 0, [], 0)
    assert len(pixels(tmp_path)) == 16
    assert (run.read_images(SUITE).state == ImageState.DRAWN).all()


def test_a_larger_limit_continues_a_smaller_one(tmp_path: Path) -> None:
    _, count = generate(tmp_path, FlatGenerator(), limit=2)
    assert (count.total, count.new) == (8, 8)
    before = pixels(tmp_path)
    _, count = generate(tmp_path, FlatGenerator(), limit=3)
    assert (count.total, count.cached, count.new) == (12, 8, 4)
    assert before.items() <= pixels(tmp_path).items()


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_batches_change_no_pixel(batch_size: int, tmp_path: Path) -> None:
    generate(tmp_path / "a", FlatGenerator(), batch_size=5)
    generate(tmp_path / "b", FlatGenerator(), batch_size=batch_size)
    assert pixels(tmp_path / "a") == pixels(tmp_path / "b")


def test_a_lost_or_shortened_file_is_drawn_again(tmp_path: Path) -> None:
    generate(tmp_path, FlatGenerator())
    whole = pixels(tmp_path)
    (tmp_path / "images" / "0_0_0.png").unlink()
    (tmp_path / "images" / "1_1_0.png").write_bytes(b"")
    again = FlatGenerator()
    _, count = generate(tmp_path, again)
    assert sorted(again.asked) == [ImageKey(0, 0, 0), ImageKey(1, 1, 0)]
    assert count.dropped == 2
    assert pixels(tmp_path) == whole


def test_a_refusal_is_kept_with_its_reason_and_not_asked_again(tmp_path: Path) -> None:
    class Refusing(FlatGenerator):
        def answer(self, request: GenerationRequest) -> Generated:
            if request.key.pair == 1:
                return Generated(request.key, unscored="refused: no such thing")
            return super().answer(request)

    run, count = generate(tmp_path, Refusing())
    assert count.unscored == 4
    index = run.read_images(SUITE)
    assert index.reasons[ImageKey(1, 0, 0)] == "refused: no such thing"
    _, count = generate(tmp_path, FlatGenerator())
    assert (count.cached, count.new) == (16, 0)


def test_a_poisoned_request_costs_one_image_and_is_tried_again_next_time(tmp_path: Path) -> None:
    class Poisoned(FlatGenerator):
        def answer(self, request: GenerationRequest) -> Generated:
            if request.key == (2, 0, 1):
                raise RuntimeError("bad\ntoken")
            return super().answer(request)

    run, count = generate(tmp_path, Poisoned(), batch_size=8)
    assert (count.new, count.unscored) == (16, 1)
    assert run.read_images(SUITE).reasons == {ImageKey(2, 0, 1): "error: RuntimeError: bad token"}
    _, count = generate(tmp_path, FlatGenerator())
    assert (count.cached, count.new, count.unscored) == (15, 1, 0)


@pytest.mark.parametrize("error", [OutOfMemory("full"), MemoryError(), RuntimeError("CUDA out of memory")])
def test_batches_are_halved_when_memory_runs_out(error: Exception, tmp_path: Path) -> None:
    class Hungry(FlatGenerator):
        def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Generated]:
            if len(requests) > 2:
                self.batches.append(-len(requests))
                raise error
            yield from super().generate(requests)

    hungry = Hungry()
    _, count = generate(tmp_path, hungry, batch_size=8)
    assert (count.new, count.unscored) == (16, 0)
    assert hungry.batches[:2] == [-8, -4]
    assert max(hungry.batches) == 2
    assert sum(size < 0 for size in hungry.batches) <= 3  # what did not fit once is not tried again and again


def test_a_generator_that_always_fails_stops_the_step_and_keeps_what_there_is(tmp_path: Path) -> None:
    class Dying(FlatGenerator):
        def answer(self, request: GenerationRequest) -> Generated:
            if len(self.asked) > 3:
                raise RuntimeError("the device fell off")
            return super().answer(request)

    with pytest.raises(GenerationError, match=r"failed 10 times in a row, last: error: RuntimeError: the device"):
        generate(tmp_path, Dying(), batch_size=1)
    _, count = generate(tmp_path, FlatGenerator())
    assert (count.cached, count.new) == (3, 13)


class TooFew(FlatGenerator):
    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Generated]:
        yield from super().generate(requests[:-1])


class TooMany(FlatGenerator):
    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Generated]:
        yield from super().generate([*requests, requests[0]])


class Unknown(FlatGenerator):
    def answer(self, request: GenerationRequest) -> Generated:
        return Generated(ImageKey(99, 0, 0), flat(1))


class Nothing(FlatGenerator):
    def answer(self, request: GenerationRequest) -> Generated:
        return Generated(request.key)


class NotAnImage(FlatGenerator):
    def answer(self, request: GenerationRequest) -> Generated:
        return Generated(request.key, "picture")  # type: ignore[arg-type]


class NotAnAnswer(FlatGenerator):
    def answer(self, request: GenerationRequest) -> Generated:
        return Image.new("RGB", (8, 8))  # type: ignore[return-value]


def saying(**fields: Any) -> type[FlatGenerator]:
    class Saying(FlatGenerator):
        def answer(self, request: GenerationRequest) -> Generated:
            return replace(super().answer(request), **fields)

    return Saying


@pytest.mark.parametrize(
    ("generator", "said"),
    [
        (TooFew, r"left 1 of 4 requests unanswered"),
        (TooMany, r"answered \(0, 0, 0\), which was not asked for or was already answered"),
        (Unknown, r"answered \(99, 0, 0\), which was not asked for"),
        (Nothing, r"'flat': its answer to \(0, 0, 0\) holds neither an image nor a reason"),
        (
            saying(metadata={"loss": float("nan")}),
            r"answer to \(0, 0, 0\) metadata.loss: expected JSON values",
        ),
        (saying(metadata={"seen": {1, 2}}), r"metadata.seen: expected JSON values, got set"),
        (saying(metadata={3: 1}), r"metadata: expected names that are text, got 3"),
        (saying(seconds=float("nan")), r"seconds: expected a finite number from 0, got nan"),
        (saying(seconds="1"), r"seconds: expected a finite number"),
        (saying(prompt_sent=3), r"prompt_sent: expected text, got 3"),
        (saying(unscored="refused"), r"holds both an image and a reason"),
        (saying(image=None, unscored=""), r"unscored: expected a reason in words, got ''"),
        (saying(image=np.zeros((4, 4, 3), np.uint8)), r"not an image: expected a Pillow image, got ndarray"),
        (saying(image=Image.new("RGB", (0, 0))), r"not an image: image has no pixels"),
        (NotAnImage, r"something that is not an image"),
        (NotAnAnswer, r"yielded Image, expected paircomp.types.Generated"),
    ],
)
def test_a_broken_contract_is_named_and_nothing_finished_is_lost(
    generator: type[FlatGenerator], said: str, tmp_path: Path
) -> None:
    with pytest.raises(GenerationError, match=said):
        generate(tmp_path, generator(), batch_size=4)
    kept = len(pixels(tmp_path)) if (tmp_path / "images").exists() else 0
    _, count = generate(tmp_path, FlatGenerator())
    assert (count.cached, count.new) == (kept, 16 - kept)


def test_numpy_scalars_are_stored_as_the_numbers_they_are(tmp_path: Path) -> None:
    metadata = {"loss": np.float32(0.5), "steps": (np.int64(4), np.bool_(True)), "deep": {"x": 1}}
    run, _ = generate(tmp_path, saying(metadata=metadata, seconds=np.float32(0.25))())
    record = next(run.image_records.read())
    assert (record["metadata"], record["seconds"]) == ({"loss": 0.5, "steps": [4, True], "deep": {"x": 1}}, 0.25)


def test_a_damaged_record_is_done_again_and_told_only_then(tmp_path: Path) -> None:
    run, _ = generate(tmp_path, FlatGenerator())
    (part,) = run.image_records.parts()
    lines = part.read_text().splitlines(keepends=True)
    torn = ["{}\n", '{"pair": 0, "prompt": 0, "sample": 0, "sha256": 3, "bytes": 1}\n', '{"pair": -1, "prompt": 0}\n']
    part.write_text("".join([*lines[:-1], *torn]))
    _, count = generate(tmp_path, FlatGenerator())
    assert (count.new, count.cached, count.dropped) == (1, 15, 3)
    _, count = generate(tmp_path, FlatGenerator())
    assert (count.new, count.dropped) == (0, 0)


def test_a_generator_that_cannot_close_is_one_line(tmp_path: Path) -> None:
    class CannotClose(FlatGenerator):
        def close(self) -> None:
            raise RuntimeError("stuck")

    with pytest.raises(AdapterError, match=r"generator 'flat' cannot be closed: RuntimeError: stuck; what was"):
        generate(tmp_path, CannotClose())
    _, count = generate(tmp_path, FlatGenerator())
    assert count.cached == 16


def test_another_generator_under_the_same_name_is_refused(tmp_path: Path) -> None:
    class Described(FlatGenerator):
        identity = {"weights": "a"}

    generate(tmp_path, Described(), limit=2)
    Described.identity = {"weights": "b"}
    with pytest.raises(RunMismatchError, match=r"says.weights: stored 'a', given 'b'"):
        generate(tmp_path, Described())


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    generate(tmp_path, FlatGenerator())
    with pytest.raises(RunMismatchError, match=r"suite.samples: stored 2, given 4") as raised:
        new_run(tmp_path, small_suite(samples=4))
    assert raised.value.differences == (("suite.samples", 2, 4),)


def test_a_file_or_a_foreign_folder_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match="expected a run folder, got a file"):
        new_run(tmp_path / "file", SUITE)
    with pytest.raises(RunError, match="holds other files"):
        new_run(tmp_path, SUITE)


def test_a_changed_or_damaged_copy_of_the_suite_is_refused(tmp_path: Path) -> None:
    run = new_run(tmp_path, SUITE)
    assert run.suite().pairs == tuple(SUITE.pairs)
    copy = tmp_path / "suite.jsonl"
    whole = copy.read_text()
    copy.write_text(whole.replace("red 0", "red 9"))
    with pytest.raises(RunError, match=r"digest \w+ differs from the run's"):
        run.suite()
    for damaged in (whole[:-20], "[]\n", "{}\n"):
        copy.write_text(damaged)
        with pytest.raises(RunError, match="damaged"):
            run.suite()


def test_prompts_that_always_fail_do_not_keep_a_run_from_its_end(tmp_path: Path) -> None:
    """Most prompts of the middle fail; the step is cut short, and the same command comes to the end."""

    class Fragile(FlatGenerator):
        cut = 8

        def answer(self, request: GenerationRequest) -> Generated:
            if len(self.asked) == self.cut:
                raise KeyboardInterrupt
            if 2 <= request.key.pair < 10 and request.key.prompt == 0:
                raise ValueError("token limit exceeded")
            return super().answer(request)

    suite = small_suite(20)
    run = new_run(tmp_path, suite)
    said: list[str] = []

    class Listening(Silent):
        def say(self, message: str) -> None:
            said.append(message)

    def draw(generator: Fragile) -> StepCount:
        return generate_images(run, suite, lambda: generator, Selection(), who="fragile", progress=Listening())

    with pytest.raises(KeyboardInterrupt):
        draw(Fragile())
    for _ in range(3):
        whole = Fragile()
        whole.cut = 0
        with contextlib.suppress(GenerationError):
            count = draw(whole)

    total = 20 * 2 * suite.samples
    assert (count.total, count.cached) == (total, total - 8 * suite.samples)
    assert re.search(
        r"\d+ images that failed before were left as they are, because the last 10 of them failed", said[-1]
    )


def test_a_damaged_picture_costs_one_image(tmp_path: Path) -> None:
    whole = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(whole, format="PNG")

    class Lazy(FlatGenerator):
        def answer(self, request: GenerationRequest) -> Generated:
            if request.key == (1, 0, 0):
                return Generated(request.key, Image.open(io.BytesIO(whole.getvalue()[:2000])))
            return super().answer(request)

    suite = small_suite(3)
    run = new_run(tmp_path, suite)
    count = generate_images(run, suite, Lazy, Selection(), who="lazy")

    assert count.unscored == 1
    assert "not a readable image" in next(iter(run.read_images(suite).reasons.values()))


def test_a_key_may_be_a_plain_tuple(tmp_path: Path) -> None:
    class Plain(FlatGenerator):
        def answer(self, request: GenerationRequest) -> Generated:
            return replace(super().answer(request), key=tuple(request.key))  # type: ignore[arg-type]

    run = new_run(tmp_path, small_suite(2))

    assert generate_images(run, small_suite(2), Plain, Selection(), who="plain").unscored == 0


def test_a_run_learns_later_which_judge_its_model_was_trained_with(tmp_path: Path) -> None:
    suite = small_suite(2)
    new_run(tmp_path, suite)

    Run.create(tmp_path, suite=suite, identity=IDENTITY, trained_with_judge="pixels")

    assert Run.open(tmp_path).manifest["trained_with_judge"] == "pixels"
    assert new_run(tmp_path, suite).manifest["trained_with_judge"] == "pixels"
