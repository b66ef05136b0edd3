"""Cutting work into batches that survive: halved when memory runs out, taken one by one around a poisoned request.

The one loop between the pipeline and a generator or judge. It checks the contract (each request answered exactly
once, nothing else) and keeps every answer that arrived before something broke.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from paircomp.errors import AdapterError, OutOfMemory, PairCompError
from paircomp.runtime.feed import Pause
from paircomp.runtime.memory import forget_frames, free_device_memory, is_out_of_memory
from paircomp.runtime.reasons import reason_of

__all__ = ["FAILURES_IN_A_ROW", "Answered", "BatchRunner", "BatchSize", "Failed", "batch_size_for"]

Request = TypeVar("Request")
Answer = TypeVar("Answer")
Key = tuple[int, ...]

#: After so many failures in a row the fault is the adapter's, not the requests'.
FAILURES_IN_A_ROW = 10
#: What an automatic batch size begins with, and how far it grows.
DEFAULT_BATCH, LARGEST_BATCH = 8, 64
_TIMED_BATCHES = 2  # the first at a new size may pay for compilation or allocation
_WORTH_IT = 1.1
_BATCHES_PER_WORKER = 16


@dataclass(frozen=True, slots=True)
class Answered(Generic[Answer]):
    """One answer, and how many requests its batch held."""

    answer: Answer
    batch: int


@dataclass(frozen=True, slots=True)
class Failed(Generic[Request]):
    """A request that failed even alone; `reason` is one line."""

    request: Request
    reason: str


class BatchSize:
    """How many requests go out together: fixed, or found while the work is done.

    A size that is being found doubles as long as that pays: two whole batches are timed at each size, and unless the
    better of them beats the size before by a tenth, that earlier one is taken for good. Any size is halved for good
    when memory runs out.

    Args:
        size: what to begin with, at least 1.
        largest: never exceeded; equal to `size` means that nothing is tried out.

    Attributes:
        size: the size as it is now.
        largest: the bound as it is now; below any size that did not fit.
        growing: whether a larger size may still be tried.
    """

    def __init__(self, size: int, *, largest: int | None = None) -> None:
        self.size = max(1, size)
        self.largest = max(self.size, largest or 0)
        self.growing = self.largest > self.size
        self._before: tuple[int, float] | None = None
        self._rates: list[float] = []

    def went_well(self, requests: int, seconds: float) -> None:
        """Hear that a batch of `requests` was answered whole in `seconds`."""
        if not self.growing or requests < self.size:
            return
        self._rates.append(requests / max(seconds, 1e-9))
        if len(self._rates) >= _TIMED_BATCHES:
            self._decide(max(self._rates))
            self._rates.clear()

    def _decide(self, rate: float) -> None:
        if self._before is not None and rate < self._before[1] * _WORTH_IT:
            self.size, self.growing = self._before[0], False
            return
        self._before = (self.size, rate)
        self.size = min(2 * self.size, self.largest)
        self.growing = self.size > self._before[0]

    def ran_out(self, requests: int) -> None:
        """Hear that a batch of `requests` did not fit in memory."""
        self.largest = max(1, requests - 1)
        self.size = max(1, requests // 2)
        self.growing = False


def batch_size_for(part: object, wanted: int | None, *, start: BatchSize | None = None) -> BatchSize:
    """The batch size for a generator or judge.

    Args:
        part: may declare ``max_batch_size``, or ``concurrency`` when it answers so many requests at the same time.
        wanted: what the user asked for; ``None`` is automatic.
        start: what an earlier command on this run found.

    Raises:
        AdapterError: what the part declares is no number to go by.
    """
    limit, concurrency = _declared(part, "max_batch_size"), _declared(part, "concurrency")
    if wanted is not None:
        return BatchSize(min(wanted, limit) if limit else wanted)
    if concurrency:
        # Workers idle only while the last answers of a batch come in: a sixteenth of the time, as a rule.
        size = max(1, concurrency) * _BATCHES_PER_WORKER
        return BatchSize(min(size, limit) if limit else size)
    found = start or BatchSize(DEFAULT_BATCH, largest=LARGEST_BATCH)
    return BatchSize(min(found.size, limit), largest=min(found.largest, limit)) if limit else found


def _declared(part: object, name: str) -> int | None:
    value = getattr(part, name, None)
    if value is not None and (type(value) is not int or value < 1):
        raise AdapterError(f"{type(part).__name__}.{name}: expected a whole number from 1, got {value!r}")
    return value


class BatchRunner(Generic[Request, Answer]):
    """Sends requests to an adapter in batches.

    Args:
        call: ``generator.generate`` or ``judge.judge``.
        expected: the keys of the answers that one request must get.
        answered: the key of one answer.
        who: named in messages, for instance ``generator 'sketch'``.
        failure: the error class for a broken contract.
        batch_size: largest batch; adapted to what went well and what did not fit.
        narrowed: what is left to ask of a request, given whether a key is still open; default the whole of it.
        retried: whether a request failed in an earlier command. Such ones come after the others, and where they fail in
            a row again the rest of them is left as it was: what cannot be drawn must not keep a run from its end.

    Attributes:
        left_alone: how many answers of retried requests were not asked for again.
    """

    def __init__(
        self,
        call: Callable[[Sequence[Request]], Iterable[Answer]],
        *,
        expected: Callable[[Request], Iterable[Key]],
        answered: Callable[[Answer], Key],
        who: str,
        failure: type[AdapterError],
        batch_size: BatchSize,
        narrowed: Callable[[Request, Callable[[Key], bool]], Request] = lambda request, is_open: request,
        retried: Callable[[Request], bool] = lambda request: False,
    ) -> None:
        self._call = call
        self._expected = expected
        self._answered = answered
        self._who = who
        self._failure = failure
        self._narrowed = narrowed
        self._retried = retried
        self._failures = 0
        self._given_up = False
        self._among_retried = False
        self.left_alone = 0
        self.batch_size = batch_size

    def run(self, requests: Iterable[Request | Pause]) -> Iterator[Answered[Answer] | Failed[Request]]:
        """Answers and failures, as they come.

        Args:
            requests: where one is a pause, what was collected goes out at once, as a smaller batch.

        Raises:
            AdapterError: of the class `failure`, when the contract is broken or everything fails.
        """
        batch: list[Request] = []
        for request in requests:
            if batch and (isinstance(request, Pause) or self._retried(request) != self._retried(batch[0])):
                yield from self._run_alike(batch)
                batch = []
            if not isinstance(request, Pause):
                batch.append(request)
            if len(batch) >= self.batch_size.size:
                yield from self._run_alike(batch)
                batch = []
        if batch:
            yield from self._run_alike(batch)

    def what_was_left(self, what: str) -> str:
        """What to say of the retried requests that were left as they are; empty where there are none."""
        if not self.left_alone:
            return ""
        return (f"{self.left_alone} {what} that failed before were left as they are, because the last "
                f"{FAILURES_IN_A_ROW} of them failed again; next: mend what their reasons say and run the same command "
                "again")  # fmt: skip

    def _run_alike(self, batch: list[Request]) -> Iterator[Answered[Answer] | Failed[Request]]:
        """Run requests that are all retried ones, or none of them."""
        if (retried := self._retried(batch[0])) != self._among_retried:  # a row is of one kind
            self._among_retried, self._failures = retried, 0
        if not retried:
            yield from self._run_batch(batch)
            return
        left = {key for request in batch for key in self._expected(request)}
        try:
            if not self._given_up:
                for outcome in self._run_batch(batch):
                    if isinstance(outcome, Failed):
                        left.difference_update(self._expected(outcome.request))
                    else:
                        left.discard(self._answered(outcome.answer))
                    yield outcome
        except AdapterError as error:
            if not error.in_a_row:
                raise
            self._given_up = True
        self.left_alone += len(left)

    def _run_batch(self, batch: list[Request]) -> Iterator[Answered[Answer] | Failed[Request]]:
        open_keys = {key: request for request in batch for key in self._expected(request)}
        trouble: BaseException | None = None
        started = time.perf_counter()
        try:
            with contextlib.closing(self._answers(batch)) as answers:
                for answer in answers:
                    self._settle(answer, open_keys)
                    self._failures = 0
                    yield Answered(answer, len(batch))
        except PairCompError as error:
            if not isinstance(error, OutOfMemory):
                raise
            trouble = error
        except (Exception, SystemExit) as error:  # an adapter may raise anything; it becomes a reason, never a zero
            trouble = error
        if trouble is None:
            self._refuse_too_few(batch, open_keys)
            self.batch_size.went_well(len(batch), time.perf_counter() - started)
        else:
            yield from self._recover(self._left(batch, open_keys), trouble, size=len(batch))

    def _left(self, batch: list[Request], open_keys: dict[Key, Request]) -> list[Request]:
        """Requests that lack an answer, without what was answered of them."""
        left = [request for request in batch if any(key in open_keys for key in self._expected(request))]
        return [self._narrowed(request, open_keys.__contains__) for request in left]

    def _answers(self, batch: list[Request]) -> Generator[Answer, None, None]:
        """What the adapter yields; closing this tells the adapter that nobody listens any more."""
        yield from self._call(batch)

    def _settle(self, answer: Answer, open_keys: dict[Key, Request]) -> None:
        key = self._answered(answer)
        if key not in open_keys:
            raise self._failure(
                f"{self._who} answered {tuple(key)}, which was not asked for or was already answered; "
                "expected each request exactly once; next: paircomp adapter check"
            )
        del open_keys[key]

    def _refuse_too_few(self, batch: list[Request], open_keys: dict[Key, Request]) -> None:
        if open_keys:
            raise self._failure(
                f"{self._who} left {len(open_keys)} of {sum(1 for r in batch for _ in self._expected(r))} requests "
                f"unanswered, first {tuple(next(iter(open_keys)))}; next: paircomp adapter check"
            )

    def _recover(
        self, left: list[Request], trouble: BaseException, *, size: int
    ) -> Iterator[Answered[Answer] | Failed[Request]]:
        if not left:
            raise self._failure(f"{self._who} failed after answering everything: {_reason(trouble)}") from trouble
        if size == 1:
            yield self._give_up(left[0], trouble)
            return
        ran_out = is_out_of_memory(trouble)
        if ran_out:
            self.batch_size.ran_out(size)
            forget_frames(trouble)
            free_device_memory()
        while left:
            step = self.batch_size.size if ran_out else 1  # the first half may not fit either
            batch, left = left[:step], left[step:]
            yield from self._run_batch(batch)

    def _give_up(self, request: Request, trouble: BaseException) -> Failed[Request]:
        self._failures += 1
        reason = _reason(trouble)
        if self._failures >= FAILURES_IN_A_ROW:
            error = self._failure(
                f"{self._who} failed {self._failures} times in a row, last: {reason}; "
                "what was finished is kept; next: mend it and run the same command again"
            )
            error.in_a_row = True
            raise error from trouble
        return Failed(request, reason)


def _reason(error: BaseException) -> str:
    said, kind = reason_of(error), type(error).__name__
    return f"error: {kind}" if said == kind else f"error: {kind}: {said}"
