"""The loop of local vision-language judges: pictures that are alike share a forward, and the next ones get ready."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from paircomp.judges.requests import Asked, Images, answers_to, refuse_broken, sort_out
from paircomp.judges.yes_no import Answer
from paircomp.types import Judgement, JudgeRequest

__all__ = ["Asker", "Looker"]


class Looker(Protocol):
    """What a family of models brings."""

    @property
    def images(self) -> int:
        """How many pictures a question is about."""
        ...

    def ids(self, images: Images, prompt: str) -> list[int]:
        """The whole prompt; raises ValueError where the question cannot be asked."""
        ...

    def size(self, images: Images) -> tuple[int, Hashable]:
        """What the pictures of a request cost, and their kind: only those of equal size go together."""
        ...

    def evidence(self, images: Images) -> Mapping[str, Any]:
        """What is worth keeping beside a score."""
        ...

    def prepare(self, images: Images) -> Any:
        """What the model takes of the pictures; called in a worker thread."""
        ...

    def answers(self, group: Sequence[Asked], prepared: Sequence[Any]) -> Sequence[Answer]:
        """The answers to all questions about a group of pictures, in order."""
        ...


class Asker:
    """Asks a family of models.

    Args:
        cost_at_once: bound of what goes together, in the unit of `Looker.size`; at least one picture always does.
    """

    def __init__(self, *, cost_at_once: int) -> None:
        self._cost_at_once = cost_at_once
        self._workers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="pictures")

    def judge(self, looker: Looker, requests: Sequence[JudgeRequest]) -> Iterator[Judgement]:
        """One judgement per question.

        Raises:
            FloatingPointError: after all else was answered, when logits were not finite.
        """
        asked, refused = sort_out(requests, looker.ids, images=looker.images)
        yield from refused
        broken: list[str] = []
        for group, prepared in self._prepared(looker, self._groups(looker, asked)):
            answers = iter(looker.answers(group, prepared))
            for each in group:
                yield from answers_to(each, answers, broken, evidence=looker.evidence(each.images))
        refuse_broken(broken)

    def close(self) -> None:
        """Stop the workers."""
        self._workers.shutdown(cancel_futures=True)

    def _groups(self, looker: Looker, asked: Sequence[Asked]) -> Iterator[Sequence[Asked]]:
        """Pictures of equal size, so many of them as go together; the largest first."""
        alike = collections.defaultdict(list)
        for each in asked:
            alike[looker.size(each.images)].append(each)
        for cost, kind in sorted(alike, key=lambda size: size[0], reverse=True):
            every, count = alike[cost, kind], max(1, self._cost_at_once // cost)
            yield from (every[start : start + count] for start in range(0, len(every), count))

    def _prepared(
        self, looker: Looker, groups: Iterator[Sequence[Asked]]
    ) -> Iterator[tuple[Sequence[Asked], Sequence[Any]]]:
        """Groups with what is prepared of them; the next group gets ready while the model looks at this one."""
        waiting: collections.deque[tuple[Sequence[Asked], list[Future[Any]]]] = collections.deque()
        try:
            for group in itertools.chain(groups, (None,)):
                if group is not None:
                    waiting.append((group, [self._workers.submit(looker.prepare, each.images) for each in group]))
                if waiting and (group is None or len(waiting) > 1):
                    ready, futures = waiting.popleft()
                    yield ready, [each.result() for each in futures]
        finally:
            for _, futures in waiting:
                for each in futures:
                    each.cancel()
