"""What a check is, and the checks that generators and judges share."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paircomp.runtime.capabilities import identity_of

__all__ = ["PROMPTS", "Check", "attempt", "check_answers", "check_empty_batch", "check_identity", "check_type",
           "is_plain_json"]  # fmt: skip

#: Prompts of the embedded world, which every built-in part understands.
PROMPTS = (
    "two red circles on a light plain background",
    "three red circles on a light plain background",
    "a blue square left of a green circle on a dark plain background",
)


@dataclass(frozen=True)
class Check:
    """The outcome of one check.

    Attributes:
        name: what must hold.
        passed: ``None`` where it does not apply.
        detail: what was seen.
    """

    name: str
    passed: bool | None
    detail: str = ""

    @property
    def failed(self) -> bool:
        """Whether the contract is broken; a check that does not apply has not failed."""
        return self.passed is False

    def __str__(self) -> str:
        mark = {True: "ok", False: "FAILED", None: "skipped"}[self.passed]
        return f"{mark:>7}  {self.name}" + (f": {self.detail}" if self.detail else "")


def attempt(name: str, check: Callable[[], Check]) -> Check:
    """The outcome of `check`; an exception is a failure of the check `name`, not the end of all checks."""
    try:
        return check()
    except (Exception, SystemExit) as error:  # a part under test may raise anything
        return Check(name, passed=False, detail=raised(error))


def raised(error: BaseException) -> str:
    """An exception in one line."""
    return f"raised {type(error).__name__}: {' '.join(str(error).split())[:200]}".rstrip(": ")


def check_batch_size(part: object) -> Check:
    """Whether the batch size or concurrency that a part declares is a number to go by."""
    declared = {name: getattr(part, name, None) for name in ("max_batch_size", "concurrency")}
    wrong = [f"{name}: expected a whole number from 1, got {value!r}" for name, value in declared.items()
             if value is not None and (type(value) is not int or value < 1)]  # fmt: skip
    said = ", ".join(f"{name} {value}" for name, value in declared.items() if value is not None)
    return Check("its batch size can be gone by", passed=not wrong, detail="; ".join(wrong) or said)


def check_answers(got: Sequence[tuple[int, ...]], expected: Sequence[tuple[int, ...]]) -> Check:
    """Whether the keys that came are those that were asked for, each exactly once."""
    name = "each request is answered exactly once"
    if sorted(got) == sorted(expected):
        return Check(name, passed=True, detail=f"{len(got)} answers")
    missing = [tuple(key) for key in expected if key not in got]
    unknown = [tuple(key) for key in got if key not in expected]
    twice = sorted({tuple(key) for key in got if got.count(key) > 1})
    return Check(name, passed=False, detail=f"missing {missing}, unknown {unknown}, more than once {twice}")


def check_type(answers: Sequence[object], agreed: type) -> Check:
    """Whether all answers are of the type that the protocol names."""
    strangers = [answer for answer in answers if not isinstance(answer, agreed)]
    said = f"expected {agreed.__module__}.{agreed.__name__}, got {type(strangers[0]).__name__}" if strangers else ""
    return Check("answers are of the agreed type", passed=not strangers, detail=said)


def check_empty_batch(call: Callable[[Sequence[Any]], Any]) -> Check:
    """Whether a batch of no requests gets no answers."""
    name = "an empty batch is answered with nothing"
    answers = list(call([]))
    return Check(name, passed=not answers, detail=f"got {len(answers)} answers" if answers else "")


def check_identity(one: object, other: object) -> Check:
    """Whether two instances say the same of themselves, in values that a run can store."""
    name = "its identity can be stored and is the same each time"
    said = [getattr(part, "identity", None) for part in (one, other)]
    if said[0] is None:
        return Check(name, passed=None, detail="it has no identity beyond its options")
    if not isinstance(said[0], Mapping) or not is_plain_json(dict(said[0])):
        return Check(name, passed=False, detail=f"expected a mapping of JSON values without NaN, got {said[0]!r}"[:200])
    return Check(name, passed=identity_of(one) == identity_of(other), detail=", ".join(sorted(said[0])))


def is_plain_json(value: object) -> bool:
    """Whether `value` can be written as JSON, without NaN or infinity."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True
