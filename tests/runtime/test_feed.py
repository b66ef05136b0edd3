"""The queue between two steps."""

import threading

from paircomp.errors import GenerationError
from paircomp.runtime.batches import Answered, BatchRunner, BatchSize
from paircomp.runtime.feed import Feed, Pause


def test_what_is_there_comes_at_once_and_a_pause_before_each_wait() -> None:
    feed: Feed[int] = Feed()
    feed.put(1)
    feed.put(2)
    taken = iter(feed)
    assert [next(taken), next(taken), next(taken)] == [1, 2, Pause.PAUSE]
    threading.Timer(0.05, lambda: (feed.put(3), feed.close())).start()
    assert [item for item in taken if not isinstance(item, Pause)] == [3]


def test_a_closed_feed_is_taken_to_its_end_and_an_abandoned_one_is_not() -> None:
    closed: Feed[int] = Feed()
    abandoned: Feed[int] = Feed()
    for feed in (closed, abandoned):
        feed.put(1)
        feed.close()
    abandoned.abandon()
    abandoned.put(2)
    assert list(closed) == [1]
    assert list(abandoned) == []


def test_a_pause_sends_out_what_was_collected() -> None:
    batches = []

    def call(requests: object) -> object:
        batches.append(list(requests))  # type: ignore[call-overload]
        return batches[-1]

    runner: BatchRunner[int, int] = BatchRunner(
        call, expected=lambda request: ((request,),), answered=lambda answer: (answer,), who="echo",
        failure=GenerationError, batch_size=BatchSize(3),
    )  # fmt: skip
    pause = Pause.PAUSE
    answered = [
        said.answer
        for said in runner.run([pause, 1, 2, 3, 4, pause, pause, 5, pause, 6, 7])
        if isinstance(said, Answered)
    ]
    assert answered == [1, 2, 3, 4, 5, 6, 7]
    assert batches == [[1, 2, 3], [4], [5], [6, 7]]
