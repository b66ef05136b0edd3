"""A run remembers the batch size that was found for it on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from paircomp.errors import GenerationError, OutOfMemory
from paircomp.pipeline import generate_images
from paircomp.run_store import Selection
from paircomp.types import Generated, GenerationRequest
from tests.parts import FlatGenerator, new_run, small_suite

SUITE = small_suite(6)


class Small(FlatGenerator):
    """Holds three images at once, as a small device would."""

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Generated]:
        if len(requests) > 3:
            self.batches.append(-len(requests))
            raise OutOfMemory("full")
        yield from super().generate(requests)


def draw(path: Path, generator: FlatGenerator, *, limit: int | None = None, batch_size: int | None = None) -> Path:
    run = new_run(path, SUITE)
    generate_images(run, SUITE, lambda: generator, Selection(limit), who="flat", batch_size=batch_size)
    return path / "generate" / "batch_size.json"


def test_a_resumed_step_does_not_run_out_of_memory_again(tmp_path: Path) -> None:
    first, second = Small(), Small()
    file = draw(tmp_path, first, limit=2)
    draw(tmp_path, second)

    assert [size for size in first.batches if size < 0] == [-8, -4]
    assert set(second.batches) == {2}
    stored = json.loads(file.read_text())
    assert (stored["schema"], stored["size"], stored["settled"]) == ("paircomp-batch-size/1", 2, True)


@pytest.mark.parametrize("changed", [{"machine": "elsewhere"}, {"size": "many"}, {"schema": "other/1"}, None])
def test_what_another_machine_found_or_a_damaged_file_says_is_not_taken(
    changed: dict[str, str] | None, tmp_path: Path
) -> None:
    file = draw(tmp_path, Small(), limit=2)
    said = json.loads(file.read_text())
    file.write_text(json.dumps({**said, **changed}) if changed else "{")
    again = Small()
    draw(tmp_path, again)

    assert again.batches[:2] == [-8, -4]


def test_under_another_limit_the_size_is_found_anew(tmp_path: Path) -> None:
    narrow, wide = FlatGenerator(), FlatGenerator()
    narrow.max_batch_size = 2
    draw(tmp_path, narrow, limit=2)
    draw(tmp_path, wide)

    assert set(narrow.batches) == {2}
    assert wide.batches[0] == 8


def test_a_size_that_the_user_gave_is_neither_stored_nor_replaced(tmp_path: Path) -> None:
    file = draw(tmp_path, FlatGenerator(), limit=2, batch_size=1)
    assert not file.exists()

    draw(tmp_path, Small(), limit=3)
    generator = FlatGenerator()
    draw(tmp_path, generator, batch_size=5)
    assert generator.batches[0] == 5


def test_a_server_gets_many_times_its_concurrency(tmp_path: Path) -> None:
    class Server(FlatGenerator):
        concurrency = 1

    server = Server()
    draw(tmp_path, server)

    assert server.batches == [16, 8]


def test_an_answer_that_may_come_later_is_asked_for_again(tmp_path: Path) -> None:
    class Busy(FlatGenerator):
        def answer(self, request: GenerationRequest) -> Generated:
            if request.key.pair == 0:
                return Generated(request.key, unscored="error: timeout", retry=True)
            if request.key.pair == 1:
                return Generated(request.key, unscored="refused: no")
            return super().answer(request)

    draw(tmp_path, Busy())
    again = FlatGenerator()
    draw(tmp_path, again)

    assert {key.pair for key in again.asked} == {0}


def test_logs_go_into_the_run(tmp_path: Path) -> None:
    class Talkative(FlatGenerator):
        def keep_logs(self, folder: Path) -> None:
            folder.mkdir()
            (folder / "said.log").write_text("hello")

    draw(tmp_path, Talkative())

    assert (tmp_path / "logs" / "said.log").read_text() == "hello"


def test_the_size_is_kept_when_the_step_fails(tmp_path: Path) -> None:
    class Failing(Small):
        def answer(self, request: GenerationRequest) -> Generated:
            if len(self.asked) > 5:
                raise GenerationError("enough")
            return super().answer(request)

    with pytest.raises(GenerationError, match="enough"):
        draw(tmp_path, Failing())
    again = Small()
    draw(tmp_path, again)

    assert set(again.batches) <= {1, 2}
