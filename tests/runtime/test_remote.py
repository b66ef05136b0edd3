"""Remote calls: bounded, patient, and given up where patience is no use."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paircomp.errors import GenerationError, JudgeError
from paircomp.runtime.remote import PassingFault, Patience, RemoteCalls, wait_asked

HASTY = Patience(attempts=4, first_wait=0.01, longest_wait=0.05)


def calls(
    call: Callable[[int], int], *, concurrency: int = 4, patience: Patience = HASTY
) -> RemoteCalls[int, int]:  # fmt: skip
    return RemoteCalls(call, concurrency=concurrency, who="judge 'far'", failure=JudgeError, patience=patience)


def test_every_request_returns_once() -> None:
    returned = list(calls(lambda number: number * number).run(range(50)))

    assert sorted((outcome.request, outcome.answer) for outcome in returned) == [(n, n * n) for n in range(50)]
    assert {(outcome.attempts, outcome.fault) for outcome in returned} == {(1, None)}


@pytest.mark.parametrize("concurrency", [1, 3])
def test_no_more_calls_are_under_way_than_allowed(concurrency: int) -> None:
    under_way, most, changed = 0, 0, threading.Lock()

    def call(number: int) -> int:
        nonlocal under_way, most
        with changed:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.01)
        with changed:
            under_way -= 1
        return number

    list(calls(call, concurrency=concurrency).run(range(12)))

    assert most == concurrency


def test_answers_come_in_the_order_of_arrival() -> None:
    slow = threading.Event()

    def call(number: int) -> int:
        if number == 0:
            slow.wait(5)
        return number

    outcomes = calls(call, concurrency=2).run(range(4))
    first = [next(outcomes).request for _ in range(3)]
    slow.set()

    assert first == [1, 2, 3]
    assert next(outcomes).request == 0


def test_a_passing_fault_is_tried_again() -> None:
    times: Counter[int] = Counter()

    def call(number: int) -> int:
        times[number] += 1
        if number == 2 and times[number] < 4:
            raise PassingFault("HTTP 503: busy")
        return number

    returned = {outcome.request: outcome for outcome in calls(call).run(range(4))}

    assert [returned[number].attempts for number in range(4)] == [1, 1, 4, 1]
    assert returned[2].answer == 2


def test_attempts_end_and_the_reason_is_kept() -> None:
    def call(number: int) -> int:
        if number == 1:
            raise PassingFault("HTTP 500: broken")
        return number

    returned = {outcome.request: outcome for outcome in calls(call, concurrency=1).run(range(3))}

    assert (returned[1].attempts, str(returned[1].fault), returned[1].answer) == (4, "HTTP 500: broken", None)


def test_what_will_not_pass_is_not_tried_again() -> None:
    times: Counter[int] = Counter()

    def call(number: int) -> int:
        times[number] += 1
        raise ValueError("the prompt is too long")

    (outcome,) = calls(call).run([7])

    assert (outcome.attempts, times[7]) == (1, 1)


def test_a_server_that_was_never_there_ends_the_step_soon() -> None:
    times: Counter[int] = Counter()

    def call(number: int) -> int:
        times[number] += 1
        raise PassingFault("cannot be reached")

    with pytest.raises(
        JudgeError, match=r"judge 'far' failed 3 times in a row, last: cannot be reached; .*next: "
    ) as ended:
        list(calls(call, concurrency=2).run(range(100)))
    assert not ended.value.in_a_row  # the requests are not at fault
    assert len(times) < 10  # of a hundred


def test_a_server_that_goes_away_ends_the_step() -> None:
    def call(number: int) -> int:
        if number >= 5:
            raise PassingFault("HTTP 502: bad gateway")
        return number

    heard: list[int] = []
    outcomes = calls(call, concurrency=2).run(range(100))
    with pytest.raises(JudgeError, match="failed 10 times in a row") as ended:
        heard.extend(outcome.request for outcome in outcomes if outcome.fault is None)
    assert sorted(heard) == [0, 1, 2, 3, 4]
    assert ended.value.in_a_row


def test_answers_that_are_paid_for_are_kept_when_a_call_ends_the_step() -> None:
    under_way = threading.Barrier(4)

    def call(number: int) -> int:
        if number > 3:
            raise AssertionError("no further call is started")
        under_way.wait(timeout=10)
        if number == 3:
            raise GenerationError("the quota is used up")
        time.sleep(0.05 * (1 + number))
        return number

    heard: list[int] = []
    with pytest.raises(GenerationError, match="quota"):
        heard.extend(outcome.request for outcome in calls(call, concurrency=4).run(range(100)))

    assert heard == [0, 1, 2]


def test_our_own_errors_end_the_step_at_once() -> None:
    def call(number: int) -> int:
        raise GenerationError("the key is wrong")

    with pytest.raises(GenerationError, match="the key is wrong"):
        list(calls(call).run(range(100)))


def test_a_busy_server_is_left_alone_by_all() -> None:
    """While one caller is told to wait, the others do not ask either."""
    asked: list[float] = []
    begun = time.monotonic()

    def call(number: int) -> int:
        asked.append(time.monotonic() - begun)
        if number == 0 and len(asked) == 1:
            raise PassingFault("HTTP 429", wait=0.4, busy=True)
        time.sleep(0.02)
        return number

    list(calls(call, concurrency=2, patience=Patience(first_wait=0.01)).run(range(20)))

    assert [moment for moment in asked if 0.1 < moment < 0.38] == []
    assert max(asked) > 0.4


def test_ending_early_starts_no_further_call_and_does_not_wait() -> None:
    times: Counter[int] = Counter()

    def call(number: int) -> int:
        times[number] += 1
        if number == 1:
            raise PassingFault("later", wait=30.0)
        return number

    begun = time.monotonic()
    outcomes = calls(call, concurrency=2, patience=Patience(longest_wait=30.0)).run(range(100))
    assert next(outcomes).request == 0
    outcomes.close()  # type: ignore[attr-defined]
    time.sleep(0.1)
    seen = sum(times.values())
    time.sleep(0.1)

    assert sum(times.values()) == seen
    assert time.monotonic() - begun < 5
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("remote-call")]


@given(st.integers(1, 30), st.none() | st.floats(0, 1e6))
def test_waits_grow_and_are_bounded(attempt: int, asked: float | None) -> None:
    patience = Patience(first_wait=1.0, longest_wait=60.0)

    assert (0.5 if asked is None else min(asked, 60.0)) <= patience.wait(attempt, asked) <= 120.0
    assert patience.wait(4) >= 4.0 > patience.wait(2)


def test_what_a_server_asks_to_wait() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)

    assert wait_asked({"retry-after-ms": "250"}) == 0.25
    assert wait_asked({"retry-after": "2.5"}) == 2.5
    assert 25 < (wait_asked({"retry-after": soon}) or 0) <= 30
    assert wait_asked({"retry-after": "Mon, 01 Jan 2001 00:00:00 GMT"}) == 0
    assert wait_asked({"retry-after": "soon"}) is None
    assert wait_asked({}) is None
