"""What moves a judge's scores although the right answer stays the same."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

from paircomp.calibration.asking import Answer, ask
from paircomp.calibration.controls import ONE_WORD, OWN, PARAPHRASE, Case
from paircomp.protocols import Judge
from paircomp.scoring import PASS_MARK

__all__ = ["measure_sensitivity"]

_ENLARGED = 2


def measure_sensitivity(judge: Judge, answers: Sequence[Answer], *, who: str, batch_size: int) -> list[dict[str, Any]]:
    """Ask the same again, changed in one way that should change nothing.

    Rewording the prompt, doubling the image's sides, naming no before yes, and asking one image at a time: the last is
    the noise floor, for batches change the rounding of a model's arithmetic.

    Args:
        judge: the judge; one that can ask in the other order has a method ``asking_no_first()``, which brings a judge.
        answers: what it said to the controls.
        who: names the judge in messages.
        batch_size: images at a time, for all changes but the last.

    Returns:
        for each change: its name, compared answers, mean signed and absolute difference, the largest, the share of
        answers that crossed 0.5, and why it was not measured where it was not.
    """
    before = {(answer.case.name, answer.probe.control): answer for answer in answers}
    renders = _renders(answers)

    def again(changed: Judge, cases: Sequence[Case], size: int) -> list[tuple[float, float]]:
        said = ask(changed, cases, who=who, batch_size=size)
        return [(before[answer.case.name, answer.probe.control].score, answer.score) for answer in said]

    reworded = [
        (answer.score, before[answer.case.name, PARAPHRASE].score) for answer in answers if answer.probe.control == OWN
    ]
    return [
        _shift("prompt reworded", reworded),
        _shift("image enlarged twofold", again(judge, [_enlarged(case) for case in renders], batch_size)),
        _asked_in_other_order(judge, renders, lambda other: again(other, renders, batch_size)),
        _shift("one image at a time", again(judge, renders, 1)),
    ]


def _renders(answers: Sequence[Answer]) -> list[Case]:
    """The renders, with the questions about their own prompt and the one a word away."""
    cases = {answer.case.name: answer.case for answer in answers if answer.probe.control == OWN}
    return [
        dataclasses.replace(case, probes=tuple(probe for probe in case.probes if probe.control in (OWN, ONE_WORD)))
        for case in cases.values()
    ]


def _enlarged(case: Case) -> Case:
    from PIL.Image import Resampling

    size = (case.image.width * _ENLARGED, case.image.height * _ENLARGED)
    return dataclasses.replace(case, image=case.image.resize(size, Resampling.BICUBIC))


def _asked_in_other_order(
    judge: Judge, renders: Sequence[Case], compare: Callable[[Judge], list[tuple[float, float]]]
) -> dict[str, Any]:
    change = "no named before yes"
    turned = getattr(judge, "asking_no_first", None)
    if turned is None:
        return _shift(change, [], reason="this judge's question cannot be turned round")
    return _shift(change, compare(turned()) if renders else [])


def _shift(change: str, pairs: Sequence[tuple[float, float]], *, reason: str | None = None) -> dict[str, Any]:
    both = [(old, new) for old, new in pairs if not (math.isnan(old) or math.isnan(new))]
    if not both:
        return {"change": change, "items": 0, "mean_shift": None, "mean_distance": None, "largest": None,
                "flips": None, "reason": reason or "no answer was scored both times"}  # fmt: skip
    shifts = [new - old for old, new in both]
    flips = sum((old >= PASS_MARK) != (new >= PASS_MARK) for old, new in both)
    return {
        "change": change, "items": len(both), "mean_shift": math.fsum(shifts) / len(both),
        "mean_distance": math.fsum(map(abs, shifts)) / len(both), "largest": max(map(abs, shifts)),
        "flips": flips / len(both), "reason": None,
    }  # fmt: skip
