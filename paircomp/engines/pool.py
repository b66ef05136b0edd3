"""A pool of Ray actors of one kind that answers chunks of work, and outlives the death of any of them.

Every actor has at most one chunk, and every answer comes back as soon as it is made. When an actor dies, with its
process or with its machine, what it had not answered goes back to the front of the queue, one request at a time: so one
that kills actors is found. Another actor takes the place of the dead one wherever the cluster has room.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from paircomp.engines.workers import Fault, Ready
from paircomp.errors import AdapterError

__all__ = ["Lost", "Pool"]

Request = TypeVar("Request")
#: A request that was with an actor so many times when it died is given up.
DEATHS_OF_A_REQUEST = 3
#: Actors that die one after the other without one answer between them end the step.
DEATHS_IN_A_ROW = 10


@dataclass(frozen=True)
class Lost(Generic[Request]):
    """A request that is given up, because the actors that had it died."""

    request: Request


@dataclass
class _Member(Generic[Request]):
    """One actor: what is awaited of it, and what it has not answered."""

    actor: Any
    awaited: Any = None
    chunk: int = 0
    left: dict[Hashable, Request] = field(default_factory=dict)


class Pool(Generic[Request]):
    """Actors of one kind and the requests that wait for them.

    Args:
        name: for messages: ``generator`` or ``judge``.
        make: starts an actor.
        size: how many.
        key_of: what the answer to a request is known by.
        failure: raised when the pool cannot go on.
        say: is told when an actor died.

    Attributes:
        queue: requests that no actor has.
        deaths: actors that died so far.
    """

    def __init__(
        self, name: str, make: Callable[[], Any], size: int, *, key_of: Callable[[Request], Hashable],
        failure: type[AdapterError], say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._name = name
        self._make = make
        self._key_of = key_of
        self._failure = failure
        self._say = say
        self.queue: deque[Request] = deque()
        self.deaths = 0
        self._deaths_in_a_row = 0
        self._tried: Counter[Hashable] = Counter()
        self._members = [self._start() for _ in range(size)]

    def _start(self) -> _Member[Request]:
        member: _Member[Request] = _Member(self._make())
        member.awaited = member.actor.ready.remote()
        return member

    @property
    def busy(self) -> bool:
        """Whether anything is queued or in work."""
        return bool(self.queue) or any(member.left for member in self._members)

    @property
    def started(self) -> bool:
        """Whether any actor is there."""
        return any(member.chunk for member in self._members)

    def add(self, requests: Iterable[Request]) -> None:
        """Queue requests."""
        self.queue.extend(requests)

    def hand_out(self) -> None:
        """Give each idle actor a chunk of what is queued."""
        for member in self._members:
            if member.chunk and member.awaited is None and self.queue:
                alone = self._tried[self._key_of(self.queue[0])] > 0
                size = 1 if alone else min(member.chunk, len(self.queue))
                chunk = [self.queue.popleft() for _ in range(size)]
                member.left = {self._key_of(request): request for request in chunk}
                member.awaited = member.actor.work.options(num_returns="streaming").remote(chunk)

    def awaited(self) -> list[Any]:
        """What Ray is to wait for."""
        return [member.awaited for member in self._members if member.awaited is not None]

    def take(self, awaited: Any) -> Iterator[Any]:
        """What came of something that was waited for: `Ready`, answers ``(key, records)``, or `Lost` requests.

        Raises:
            AdapterError: an actor met an error that stops the step, or none stays alive.
        """
        import ray
        from ray.exceptions import RayActorError, RayError

        for member in [member for member in self._members if member.awaited is awaited]:
            try:
                said = ray.get(next(awaited) if member.chunk else awaited)
            except StopIteration:
                member.awaited, member.left = None, {}
            except RayActorError:
                yield from self._bury(member)
            except RayError as error:
                raise self._failure(f"a {self._name} actor failed: {' '.join(str(error).split())[-300:]}") from error
            else:
                yield self._heard(member, said)

    def _heard(self, member: _Member[Request], said: Any) -> Any:
        if isinstance(said, Fault):
            raise self._failure(f"a {self._name} actor: {said.said}")
        if isinstance(said, Ready):
            member.awaited, member.chunk = None, said.chunk
            return said
        self._deaths_in_a_row = 0
        return said

    def answered(self, key: Hashable) -> None:
        """Hear that the whole answer to a request was written down; it is never asked again."""
        for member in self._members:
            member.left.pop(key, None)

    def _bury(self, member: _Member[Request]) -> Iterator[Lost[Request]]:
        self.deaths += 1
        self._deaths_in_a_row += 1
        if self._deaths_in_a_row >= DEATHS_IN_A_ROW:
            raise self._failure(f"{self._deaths_in_a_row} {self._name} actors died one after the other; what was done "
                                "is kept; next: see Ray's logs (memory, devices), then the same command")  # fmt: skip
        self._say(f"a {self._name} actor died with {len(member.left)} requests unanswered; another one takes its place")
        lost: list[Lost[Request]] = []
        for key, request in reversed(member.left.items()):
            self._tried[key] += 1
            if self._tried[key] < DEATHS_OF_A_REQUEST:
                self.queue.appendleft(request)
            else:
                lost.append(Lost(request))
        self._members[self._members.index(member)] = self._start()
        yield from lost  # last of all: whoever hears of them calls back

    def close(self) -> None:
        """End all actors and free what they hold."""
        import ray

        for member in self._members:
            ray.kill(member.actor)
        self._members = []
