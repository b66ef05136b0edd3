"""Cutting work into batches that survive: halved when memory runs out, taken one by one around a poisoned request.

The one loop between the pipeline and a generator or judge. It checks the contract (each request answered exactly
once, nothing else) and keeps every answer that arrived before something broke.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from paircomp.errors import AdapterError, OutOfMemory, PairCompError

__all__ = ["Answered", "BatchRunner", "Failed", "is_out_of_memory"]

Request = TypeVar("Request")
Answer = TypeVar("Answer")
Key = tuple[int, ...]

#: After so many failures in a row the fault is the adapter's, not the requests'.
FAILURES_IN_A_ROW = 10


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


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory ran out, without importing torch: ours, Python's, or torch's by name."""
    if isinstance(error, (OutOfMemory, MemoryError)):
        return True
    said = str(error).lower()
    return type(error).__name__ == "OutOfMemoryError" or (
        isinstance(error, RuntimeError) and ("out of memory" in said or "can't allocate memory" in said)
    )


class BatchRunner(Generic[Request, Answer]):
    """Sends requests to an adapter in batches.

    Args:
        call: ``generator.generate`` or ``judge.judge``.
        expected: the keys of the answers that one request must get.
        answered: the key of one answer.
        who: named in messages, for instance ``generator 'sketch'``.
        failure: the error class for a broken contract.
        batch_size: largest batch, at least 1; halved for good each time memory runs out.
    """

    def __init__(
        self,
        call: Callable[[Sequence[Request]], Iterable[Answer]],
        *,
        expected: Callable[[Request], Iterable[Key]],
        answered: Callable[[Answer], Key],
        who: str,
        failure: type[AdapterError],
        batch_size: int,
    ) -> None:
        self._call = call
        self._expected = expected
        self._answered = answered
        self._who = who
        self._failure = failure
        self._failures = 0
        self.batch_size = max(1, batch_size)

    def run(self, requests: Iterable[Request]) -> Iterator[Answered[Answer] | Failed[Request]]:
        """Answers and failures, as they come.

        Raises:
            AdapterError: of the class `failure`, when the contract is broken or everything fails.
        """
        stream = iter(requests)
        while batch := list(itertools.islice(stream, self.batch_size)):
            yield from self._run_batch(batch)

    def _run_batch(self, batch: list[Request]) -> Iterator[Answered[Answer] | Failed[Request]]:
        open_keys = {key: request for request in batch for key in self._expected(request)}
        trouble: Exception | None = None
        try:
            for answer in self._call(batch):
                self._settle(answer, open_keys)
                self._failures = 0
                yield Answered(answer, len(batch))
        except PairCompError as error:
            if not isinstance(error, OutOfMemory):
                raise
            trouble = error
        except Exception as error:  # an adapter may raise anything; it becomes a reason, never a zero
            trouble = error
        left = [request for request in batch if any(key in open_keys for key in self._expected(request))]
        if trouble is None:
            self._refuse_too_few(batch, open_keys)
        else:
            yield from self._recover(left, trouble, size=len(batch))

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
        self, left: list[Request], trouble: Exception, *, size: int
    ) -> Iterator[Answered[Answer] | Failed[Request]]:
        if not left:
            raise self._failure(f"{self._who} failed after answering everything: {_reason(trouble)}") from trouble
        if size == 1:
            yield self._give_up(left[0], trouble)
            return
        step = 1
        if is_out_of_memory(trouble):
            self.batch_size = step = max(1, size // 2)
        for start in range(0, len(left), step):
            yield from self._run_batch(left[start : start + step])

    def _give_up(self, request: Request, trouble: Exception) -> Failed[Request]:
        self._failures += 1
        reason = _reason(trouble)
        if self._failures >= FAILURES_IN_A_ROW:
            raise self._failure(
                f"{self._who} failed {self._failures} times in a row, last: {reason}; "
                "what was finished is kept; next: mend it and run the same command again"
            ) from trouble
        return Failed(request, reason)


def _reason(error: Exception) -> str:
    said = " ".join(str(error).split())[:300]
    return f"error: {type(error).__name__}: {said}" if said else f"error: {type(error).__name__}"
