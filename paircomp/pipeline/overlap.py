"""Drawing and judging at the same time on one machine: the judge looks at each image as soon as it is on the disk.

Each of the two steps does what it does alone, with its own lock, records and batches; only what is handed on differs.
So a kill at any instant leaves the same kind of run, and the result is that of one step after the other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import Any

from paircomp.errors import MissingImagesError, PairCompError
from paircomp.pipeline.judge import Arrival
from paircomp.pipeline.progress import Progress, Silent, StepCount
from paircomp.runtime.feed import Feed, Pause
from paircomp.types import ImageKey

__all__ = ["draw_while_judging"]

Draw = Callable[[Callable[[ImageKey, Mapping[str, Any]], None], Progress], StepCount]
Judge = Callable[[Iterable[Arrival | Pause], Progress], StepCount]


def draw_while_judging(draw: Draw, judge: Judge, progress: Progress | None = None) -> Future[StepCount]:
    """Run the generate step here and the judge step in a thread beside it, until both have ended.

    An error of the judge is told at once and leaves the drawing alone, which would have come first anyway. An error of
    the generator, or an interrupt, ends both.

    Args:
        draw: the generate step; is given what to call with each settled image.
        judge: the judge step; is given the images as they are settled.
        progress: hears of both steps, one call at a time.

    Returns:
        what became of the judge step, ended.

    Raises:
        PairCompError: what the generate step raises.
    """
    # The judge step waits until the generate step is ours: of two commands on one run, one must get both.
    heard = OneAtATime(progress or Silent())
    feed: Feed[Arrival] = Feed()
    judged: Future[StepCount] = Future()
    thread = threading.Thread(target=_judge, args=(judge, feed, heard, judged), name="judge step")
    thread.start()
    try:
        draw(lambda key, record: feed.put((key, record)), heard)
    except BaseException:
        feed.abandon()
        raise
    finally:
        feed.close()
        heard.begun.set()
        thread.join()
    return judged


def _judge(judge: Judge, feed: Feed[Arrival], progress: OneAtATime, judged: Future[StepCount]) -> None:
    progress.begun.wait()
    if feed.abandoned:  # there was no generate step, and its error is on the way
        return
    try:
        judged.set_result(judge(feed, progress))
    except BaseException as error:  # raised where the result is asked for
        feed.abandon()
        if isinstance(error, PairCompError) and not isinstance(error, MissingImagesError):
            progress.say(f"judging has stopped, drawing goes on: {error}")
        judged.set_exception(error)


class OneAtATime:
    """Progress of several threads, as calls one after the other.

    Args:
        progress: who hears them.

    Attributes:
        begun: set once a step has begun.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._turn = threading.Lock()
        self.begun = threading.Event()

    def start(self, count: StepCount, *, what: str) -> None:
        """Pass it on."""
        with self._turn:
            self._progress.start(count, what=what)
        self.begun.set()

    def advance(self, count: StepCount) -> None:
        """Pass it on."""
        with self._turn:
            self._progress.advance(count)

    def finish(self, count: StepCount) -> None:
        """Pass it on."""
        with self._turn:
            self._progress.finish(count)

    def say(self, message: str) -> None:
        """Pass it on."""
        with self._turn:
            self._progress.say(message)
