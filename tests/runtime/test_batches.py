"""Batches: grown while that pays, halved when memory runs out, and one poisoned request costs one answer."""

from __future__ import annotations

import time
import weakref
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from paircomp.errors import AdapterError, GenerationError, JudgeError, OutOfMemory
from paircomp.runtime.batches import (
    DEFAULT_BATCH,
    FAILURES_IN_A_ROW,
    LARGEST_BATCH,
    Answered,
    BatchRunner,
    BatchSize,
    Failed,
    batch_size_for,
)


class Echo:
    """Answers each number with itself; keeps the sizes of its batches."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, requests: Sequence[int]) -> Iterator[int]:
        self.batches.append(len(requests))
        self.begin(requests)
        for request in requests:
            yield self.answer(request)

    def begin(self, requests: Sequence[int]) -> None: ...

    def answer(self, request: int) -> int:
        return request


def runner(call: Echo, size: BatchSize) -> BatchRunner[int, int]:
    return BatchRunner(call, expected=lambda request: ((request,),), answered=lambda answer: (answer,), who="echo",
                       failure=GenerationError, batch_size=size)  # fmt: skip


def answers(call: Echo, requests: int, size: BatchSize) -> list[int]:
    return [outcome.answer for outcome in runner(call, size).run(range(requests)) if isinstance(outcome, Answered)]


def found() -> BatchSize:
    return BatchSize(DEFAULT_BATCH, largest=LARGEST_BATCH)


# Growing


def test_a_fixed_size_stays() -> None:
    echo = Echo()

    assert answers(echo, 20, BatchSize(8)) == list(range(20))
    assert echo.batches == [8, 8, 4]


def test_a_size_doubles_while_a_batch_costs_as_much_as_one() -> None:
    class Overhead(Echo):
        def begin(self, requests: Sequence[int]) -> None:
            time.sleep(0.02)

    echo, size = Overhead(), found()
    answers(echo, 400, size)

    assert echo.batches[:6] == [8, 8, 16, 16, 32, 32]
    assert (size.size, size.growing) == (LARGEST_BATCH, False)
    assert max(echo.batches) == LARGEST_BATCH


def test_a_size_stays_where_more_at_once_is_no_faster() -> None:
    class Crowded(Echo):
        def begin(self, requests: Sequence[int]) -> None:
            time.sleep(0.0004 * len(requests) ** 2)

    echo, size = Crowded(), found()
    answers(echo, 80, size)

    assert (size.size, size.growing) == (8, False)
    assert echo.batches[:5] == [8, 8, 16, 16, 8]  # one trial of the next size, and back


def test_a_slow_first_batch_does_not_pass_for_slowness() -> None:
    """Compilation is paid once: the better of two batches speaks for a size."""
    size = found()
    size.went_well(8, 60.0)
    size.went_well(8, 1.0)
    size.went_well(16, 2.0)
    size.went_well(16, 2.0)

    assert (size.size, size.growing) == (8, False)


def test_a_short_last_batch_says_nothing_about_its_size() -> None:
    size = found()
    for _ in range(4):
        size.went_well(3, 0.001)

    assert (size.size, size.growing) == (8, True)


# Memory


@pytest.mark.parametrize("error", [OutOfMemory("full"), MemoryError(), RuntimeError("CUDA out of memory. Tried")])
def test_what_did_not_fit_is_halved_and_never_tried_again(error: Exception) -> None:
    class Small(Echo):
        def begin(self, requests: Sequence[int]) -> None:
            if len(requests) > 5:
                raise error

    echo, size = Small(), found()

    assert answers(echo, 40, size) == list(range(40))
    assert echo.batches == [8, *[4] * 10]
    assert (size.size, size.growing) == (4, False)


def test_growth_ends_at_the_first_size_that_does_not_fit() -> None:
    class Roomy(Echo):
        def begin(self, requests: Sequence[int]) -> None:
            time.sleep(0.02)
            if len(requests) > 20:
                raise OutOfMemory("full")

    echo, size = Roomy(), found()
    answers(echo, 200, size)

    assert echo.batches[:6] == [8, 8, 16, 16, 32, 16]
    assert size.size == 16
    assert sum(batch > 20 for batch in echo.batches) == 1


def test_the_failed_batch_is_let_go_before_its_halves_are_tried() -> None:
    """A traceback keeps the arrays of the call that failed; with them alive, the half would fail as well."""
    held: list[weakref.ref[NDArray[np.float64]]] = []

    class Hungry(Echo):
        def begin(self, requests: Sequence[int]) -> None:
            assert [array() for array in held] == [None] * len(held)
            activations = np.zeros(10_000)
            held.append(weakref.ref(activations))
            if len(requests) > 2:
                try:
                    raise MemoryError
                except MemoryError as error:
                    raise RuntimeError("out of memory") from error

    assert answers(Hungry(), 8, BatchSize(8)) == list(range(8))
    assert len(held) == 2 + 4  # 8 and 4 fail, then four times 2


def test_answers_before_memory_ran_out_are_kept() -> None:
    class Late(Echo):
        def answer(self, request: int) -> int:
            if len(self.batches) == 1 and request == 5:
                raise OutOfMemory("full")
            return request

    echo = Late()

    assert answers(echo, 8, BatchSize(8)) == list(range(8))
    assert echo.batches == [8, 3]


def test_a_request_that_does_not_fit_alone_is_given_up() -> None:
    class Full(Echo):
        def begin(self, requests: Sequence[int]) -> None:
            if 3 in requests:
                raise OutOfMemory("full")

    echo = Full()
    outcomes = list(runner(echo, BatchSize(4)).run(range(8)))

    assert [outcome for outcome in outcomes if isinstance(outcome, Failed)] == [Failed(3, "error: OutOfMemory: full")]
    assert len(outcomes) == 8


# Poison


def test_a_poisoned_request_costs_one_answer() -> None:
    class Poisoned(Echo):
        def begin(self, requests: Sequence[int]) -> None:
            if 5 in requests:
                raise ValueError("a token\nthat is not")

    outcomes = list(runner(Poisoned(), BatchSize(8)).run(range(16)))

    assert [outcome for outcome in outcomes if isinstance(outcome, Failed)] == [
        Failed(5, "error: ValueError: a token that is not")
    ]
    assert len(outcomes) == 16


def test_failure_after_failure_stops_the_step() -> None:
    class Broken(Echo):
        def begin(self, requests: Sequence[int]) -> None:
            raise ValueError("no device")

    echo = Broken()

    with pytest.raises(GenerationError, match=r"echo failed 10 times in a row, last: error: ValueError: no device"):
        answers(echo, 100, BatchSize(4))
    assert sum(echo.batches) <= 4 * 3 + FAILURES_IN_A_ROW


def test_our_own_errors_stop_the_step_at_once() -> None:
    class Refused(Echo):
        def begin(self, requests: Sequence[int]) -> None:
            raise JudgeError("the key is wrong")

    echo = Refused()

    with pytest.raises(JudgeError, match="the key is wrong"):
        answers(echo, 100, BatchSize(4))
    assert echo.batches == [4]


def test_an_adapter_hears_when_nobody_listens_any_more() -> None:
    ended: list[int] = []

    class Attentive(Echo):
        def __call__(self, requests: Sequence[int]) -> Iterator[int]:
            try:
                yield from requests
            finally:
                ended.append(len(requests))

    outcomes = runner(Attentive(), BatchSize(4)).run(range(8))
    next(outcomes)
    outcomes.close()  # type: ignore[attr-defined]

    assert ended == [4]


# What a part declares


class Part:
    def __init__(self, **declared: int) -> None:
        for name, value in declared.items():
            setattr(self, name, value)


@pytest.mark.parametrize(
    ("declared", "wanted", "size", "largest"),
    [
        ({}, None, DEFAULT_BATCH, LARGEST_BATCH),
        ({}, 3, 3, 3),
        ({"max_batch_size": 1}, None, 1, 1),
        ({"max_batch_size": 2}, 5, 2, 2),
        ({"max_batch_size": 32}, None, DEFAULT_BATCH, 32),
        ({"concurrency": 4}, None, 64, 64),
        ({"concurrency": 4, "max_batch_size": 10}, None, 10, 10),
        ({"concurrency": 4}, 6, 6, 6),
    ],
)
def test_the_size_for_a_part(declared: dict[str, int], wanted: int | None, size: int, largest: int) -> None:
    chosen = batch_size_for(Part(**declared), wanted)

    assert (chosen.size, chosen.largest) == (size, largest)


def test_what_an_earlier_command_found_is_the_start() -> None:
    assert batch_size_for(Part(), None, start=BatchSize(32)).size == 32
    assert batch_size_for(Part(max_batch_size=16), None, start=BatchSize(32)).size == 16
    assert batch_size_for(Part(), 2, start=BatchSize(32)).size == 2


# What failed before


class Hopeless(Echo):
    """Never answers requests from 100 on."""

    def answer(self, request: int) -> int:
        if request >= 100:
            raise ValueError("too long")
        return request


def retrying(call: Echo) -> BatchRunner[int, int]:
    return BatchRunner(
        call,
        expected=lambda request: ((request,),),
        answered=lambda answer: (answer,),
        who="echo",
        failure=GenerationError,
        batch_size=BatchSize(4),
        retried=lambda request: request >= 100,
    )


def test_requests_that_fail_again_keep_the_others_from_nothing() -> None:
    asked = retrying(Hopeless())
    outcomes = list(asked.run([*range(6), *range(100, 130), 6, 7]))

    assert [outcome.answer for outcome in outcomes if isinstance(outcome, Answered)] == list(range(8))
    assert len([outcome for outcome in outcomes if isinstance(outcome, Failed)]) == FAILURES_IN_A_ROW - 1
    assert asked.left_alone == 30 - (FAILURES_IN_A_ROW - 1)


def test_a_row_of_failures_is_of_one_kind() -> None:
    """Nine that failed before and one that is new are no ten in a row; nor are they the other way round."""

    class Grumpy(Echo):
        def answer(self, request: int) -> int:
            if request in range(100, 109) or request in (6, 50):
                raise ValueError("too long")
            return request

    asked = retrying(Grumpy())
    outcomes = list(asked.run([*range(100, 109), 6, 7, 50, *range(200, 230)]))

    assert len([outcome for outcome in outcomes if isinstance(outcome, Failed)]) == 11
    assert asked.left_alone == 0


def test_requests_that_are_new_still_end_the_step() -> None:
    with pytest.raises(GenerationError, match="failed 10 times in a row"):
        list(runner(Hopeless(), BatchSize(4)).run(range(100, 130)))


def test_a_server_that_gives_up_on_retried_requests_ends_nothing_either() -> None:
    class GivesUp(Echo):
        def begin(self, requests: Sequence[int]) -> None:
            if requests[0] >= 100:
                error = GenerationError("failed 10 times in a row")
                error.in_a_row = requests[0] < 200
                raise error

    asked = retrying(GivesUp())
    assert len(list(asked.run([1, 2, *range(100, 120)]))) == 2
    assert asked.left_alone == 20
    with pytest.raises(GenerationError):
        list(retrying(GivesUp()).run([1, 200]))


def test_a_part_that_exits_costs_one_answer() -> None:
    class Exiting(Echo):
        def answer(self, request: int) -> int:
            if request == 5:
                raise SystemExit(0)
            return request

    outcomes = list(runner(Exiting(), BatchSize(4)).run(range(12)))

    assert sorted(outcome.answer for outcome in outcomes if isinstance(outcome, Answered)) == [
        0,
        1,
        2,
        3,
        4,
        *range(6, 12),
    ]
    assert [(outcome.request, outcome.reason) for outcome in outcomes if isinstance(outcome, Failed)] == [
        (5, "error: SystemExit: 0")
    ]


@pytest.mark.parametrize("name", ["max_batch_size", "concurrency"])
def test_a_batch_size_that_is_no_number_is_told(name: str) -> None:
    part = type("Part", (), {name: "8"})()
    with pytest.raises(AdapterError, match=rf"Part\.{name}: expected a whole number from 1, got '8'"):
        batch_size_for(part, None)
