"""Calls to a server: a bounded number at a time, repeated with growing waits, each answer handed on as it arrives.

Generators and judges that ask a server share this. What is asked, and how a fault of the server looks, is theirs: the
call they give raises :class:`PassingFault` for what may pass, and anything else for what will not.
"""

from __future__ import annotations

import email.utils
import queue
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from paircomp.errors import AdapterError, PairCompError
from paircomp.runtime.batches import FAILURES_IN_A_ROW

__all__ = ["PassingFault", "Patience", "RemoteCalls", "Returned", "wait_asked"]

Request = TypeVar("Request")
Answer = TypeVar("Answer")

#: Requests without any answer that end the step when nothing has ever come back: a wrong address costs no hour.
FAILURES_AT_FIRST = 3
_LAST_ANSWERS_SECONDS = 60.0
_LISTEN_SECONDS = 0.5  # an endless wait could not be interrupted on Windows


class PassingFault(Exception):  # noqa: N818 - a fault that passes is no error yet
    """A call failed for a reason that may pass: too many requests, an error of the server, a timeout.

    Args:
        reason: one line, kept as the reason when all attempts are used up.
        wait: seconds that the server asked to wait.
        busy: the server has too much to do, so that the other calls wait too.
    """

    def __init__(self, reason: str, *, wait: float | None = None, busy: bool = False) -> None:
        self.reason = reason
        self.wait = wait
        self.busy = busy
        super().__init__(reason)


@dataclass(frozen=True)
class Patience:
    """How often and how long.

    Attributes:
        attempts: calls for one request, the first included.
        first_wait: seconds before the second attempt; doubles each time.
        longest_wait: bound on any wait, also on what a server asks for.
    """

    attempts: int = 6
    first_wait: float = 1.0
    longest_wait: float = 60.0

    def wait(self, attempt: int, asked: float | None = None) -> float:
        """Seconds to wait after failed attempt number `attempt` (from 1), spread so that callers do not come at once.

        Example:
            >>> 2.0 <= Patience().wait(3) <= 4.0
            True
            >>> 10.0 <= Patience().wait(1, asked=10.0) <= 11.0
            True
        """
        grown = min(self.first_wait * 2.0 ** (attempt - 1), self.longest_wait)
        if asked is None:
            return grown * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
        return min(asked, self.longest_wait) + grown * random.uniform(0.0, 1.0)  # noqa: S311


@dataclass(frozen=True, slots=True)
class Returned(Generic[Request, Answer]):
    """What became of one request.

    Attributes:
        request: which one.
        answer: what the call returned; ``None`` with `fault`.
        fault: why there is no answer.
        attempts: how many calls it took.
        seconds: duration of the last call, waits excluded.
    """

    request: Request
    answer: Answer | None
    fault: BaseException | None
    attempts: int
    seconds: float


class _Gate:
    """Holds all callers back while the server is too busy."""

    def __init__(self) -> None:
        self._changed = threading.Lock()
        self._opens = 0.0

    def hold(self, seconds: float) -> None:
        with self._changed:
            self._opens = max(self._opens, time.monotonic() + seconds)

    def wait(self, stopping: threading.Event) -> None:
        while (left := self._opens - time.monotonic()) > 0 and not stopping.is_set():
            stopping.wait(left)


class RemoteCalls(Generic[Request, Answer]):
    """Sends requests to a server.

    Args:
        call: answers one request; called from several threads at once.
        concurrency: how many calls may be under way.
        who: named in messages, for instance ``generator 'openai-images'``.
        failure: the error that ends the step when nothing succeeds any more.
        patience: how often and how long.
    """

    def __init__(
        self,
        call: Callable[[Request], Answer],
        *,
        concurrency: int,
        who: str,
        failure: type[AdapterError],
        patience: Patience | None = None,
    ) -> None:
        self._call = call
        self._concurrency = max(1, concurrency)
        self._who = who
        self._failure = failure
        self._patience = patience or Patience()
        self._gate = _Gate()
        self._failures = 0
        self._answered = False
        self._stopping = threading.Event()

    def run(self, requests: Sequence[Request]) -> Iterator[Returned[Request, Answer]]:
        """One outcome per request, in the order of arrival.

        Ending the iteration early starts no further call; those under way end on their own, unheard. Before an error
        ends it, answers that have arrived are handed on, and after a call's own also those still under way.

        Raises:
            PairCompError: a call raised one: a wrong key, for instance, is wrong for all.
            AdapterError: of the class `failure`, when request after request fails.
        """
        open_requests, arrived = deque(requests), queue.SimpleQueue[Returned[Request, Answer]]()
        stopping = self._stopping = threading.Event()
        workers = [
            threading.Thread(
                target=self._work, args=(open_requests, arrived, stopping), daemon=True, name=f"remote-call-{number}"
            )
            for number in range(min(self._concurrency, len(requests)))
        ]
        for worker in workers:
            worker.start()
        try:
            for _ in requests:
                outcome = _next(arrived)
                try:
                    self._judge(outcome.fault)
                except PairCompError as end:
                    stopping.set()
                    if end is outcome.fault:  # the server answers: what is under way may be, too, and is paid for
                        _wait_for(workers)
                    yield from _answers(arrived)
                    raise
                yield outcome
        finally:
            stopping.set()

    def close(self) -> None:
        """Start no further call and end all waits."""
        self._stopping.set()

    def _work(
        self,
        open_requests: deque[Request],
        arrived: queue.SimpleQueue[Returned[Request, Answer]],
        stopping: threading.Event,
    ) -> None:
        while not stopping.is_set():
            try:
                request = open_requests.popleft()
            except IndexError:
                return
            arrived.put(self._persist(request, stopping))

    def _persist(self, request: Request, stopping: threading.Event) -> Returned[Request, Answer]:
        """Call until there is an answer, a fault that will not pass, or no attempt left."""
        attempt = 1
        while True:
            self._gate.wait(stopping)
            started = time.monotonic()
            try:
                answer = self._call(request)
            except (Exception, SystemExit) as fault:  # a thread that ended would leave its caller waiting
                seconds = time.monotonic() - started
                if self._is_final(fault, attempt) or stopping.is_set():
                    return Returned(request, None, fault, attempt, seconds)
                self._hold(fault, attempt, stopping)
                attempt += 1
            else:
                return Returned(request, answer, None, attempt, time.monotonic() - started)

    def _is_final(self, fault: BaseException, attempt: int) -> bool:
        return not isinstance(fault, PassingFault) or attempt >= self._patience.attempts

    def _hold(self, fault: BaseException, attempt: int, stopping: threading.Event) -> None:
        asked = fault.wait if isinstance(fault, PassingFault) else None
        seconds = self._patience.wait(attempt, asked)
        if isinstance(fault, PassingFault) and fault.busy:
            self._gate.hold(seconds)
        stopping.wait(seconds)

    def _judge(self, fault: BaseException | None) -> None:
        """Raise where going on would only repeat the fault."""
        if fault is None:
            self._failures, self._answered = 0, True
            return
        if isinstance(fault, PairCompError):
            raise fault
        self._failures += 1
        never_there = not self._answered and isinstance(fault, PassingFault)
        if self._failures >= (FAILURES_AT_FIRST if never_there else FAILURES_IN_A_ROW):
            error = self._failure(
                f"{self._who} failed {self._failures} times in a row, last: {fault}; "
                "what was finished is kept; next: mend it and run the same command again"
            )
            error.in_a_row = not never_there  # no requests of a dead server are at fault
            raise error from fault


def _next(arrived: queue.SimpleQueue[Returned[Request, Answer]]) -> Returned[Request, Answer]:
    while True:
        try:
            return arrived.get(timeout=_LISTEN_SECONDS)
        except queue.Empty:
            continue


def _wait_for(workers: Sequence[threading.Thread]) -> None:
    deadline = time.monotonic() + _LAST_ANSWERS_SECONDS
    for worker in workers:
        while worker.is_alive() and time.monotonic() < deadline:
            worker.join(timeout=_LISTEN_SECONDS)


def _answers(
    arrived: queue.SimpleQueue[Returned[Request, Answer]],
) -> Iterator[Returned[Request, Answer]]:
    """The answers among what has arrived."""
    while not arrived.empty():
        outcome = arrived.get()
        if outcome.fault is None:
            yield outcome


def wait_asked(headers: Mapping[str, str]) -> float | None:
    """Seconds that an HTTP answer asks to wait (``Retry-After`` as a number or date, ``retry-after-ms``).

    Args:
        headers: looked up without regard to case by whoever made them; ``None`` comes back where they say nothing.

    Example:
        >>> wait_asked({"retry-after": "7"})
        7.0
    """
    said = headers.get("retry-after-ms")
    scale = 0.001 if said else 1.0
    said = said or headers.get("retry-after")
    if not said:
        return None
    try:
        return max(0.0, float(said) * scale)
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(said).timestamp() - time.time())
    except ValueError:
        return None
