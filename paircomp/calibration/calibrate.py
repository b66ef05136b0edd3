"""Calibrating a judge: everything that `paircomp calibrate` measures, as one mapping of JSON values."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from paircomp import __version__
from paircomp.calibration.agreement import agreement
from paircomp.calibration.asking import Answer, ask
from paircomp.calibration.controls import BLANK, NOISE, ONE_WORD, OWN, PARAPHRASE, UNRELATED, Case
from paircomp.calibration.measures import rate, reliability, scored_arrays, scores_of, summarize_answers
from paircomp.calibration.sensitivity import measure_sensitivity
from paircomp.protocols import Judge

__all__ = ["CALIBRATION_SCHEMA", "DOUBTS", "calibrate"]

CALIBRATION_SCHEMA = "paircomp-calibration/1"
DEFAULT_BATCH = 8

#: Beyond these a calibration warns; docs/calibration.md says why these.
DOUBTS = {"false_yes": 0.1, "auc": 0.75, "unscored": 0.02, "flips": 0.05}

_CONTROLS = {OWN: True, ONE_WORD: False, UNRELATED: False, BLANK: False, NOISE: False}


def calibrate(
    judge: Judge, cases: Sequence[Case], *, name: str, identity: Mapping[str, Any], labels: Sequence[Case] = (),
    batch_size: int | None = None, against: tuple[str, Judge, Mapping[str, Any]] | None = None,
    advance: Callable[[int], None] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Measure a judge on images whose label is certain.

    Args:
        judge: the judge; neither it nor `against` is closed.
        cases: the embedded controls.
        name: what tables call it.
        identity: what decides its scores.
        labels: cases with human labels.
        batch_size: images at a time; default :data:`DEFAULT_BATCH`.
        against: another judge, asked the same: its name, itself, its identity.
        advance: hears how many questions of the controls were answered.

    Returns:
        schema ``paircomp-calibration/1``; shares in [0, 1], null where there is nothing to say.

    Raises:
        JudgeError: a judge broke its contract or kept failing.
    """
    size = batch_size or DEFAULT_BATCH
    who = f"judge {name!r}"
    answers = ask(judge, cases, who=who, batch_size=size, advance=advance)
    human = ask(judge, labels, who=who, batch_size=size) if labels else []
    certain = [answer for answer in answers if answer.probe.control != PARAPHRASE]
    found: dict[str, Any] = {
        "schema": CALIBRATION_SCHEMA,
        "paircomp_version": __version__,
        "judge": {"name": name, "identity": dict(identity)},
        "questions": _questions([*answers, *human]),
        "overall": summarize_answers(certain),
        "one_word": summarize_answers(_one_word(answers)),
        "controls": [_control(answers, control, label=label) for control, label in _CONTROLS.items()],
        "subtasks": {
            subtask: summarize_answers([answer for answer in _one_word(answers) if answer.case.subtask == subtask])
            for subtask in dict.fromkeys(case.subtask for case in cases if case.subtask)
        },
        "labels": summarize_answers(human) if human else None,
        "reliability": _reliability(certain),
        "sensitivity": measure_sensitivity(judge, answers, who=who, batch_size=size),
        "responses": None,
        "agreement": None,
    }
    found["warnings"] = _warnings(found, answers)
    if against is not None:
        found["agreement"] = _against(against, [*answers, *human], [*cases, *labels], size)
    return found


def _one_word(answers: Sequence[Answer]) -> list[Answer]:
    return [answer for answer in answers if answer.probe.control in (OWN, ONE_WORD)]


def _questions(answers: Sequence[Answer]) -> dict[str, Any]:
    reasons = Counter(answer.unscored for answer in answers if answer.unscored is not None)
    return {
        "asked": len(answers), "unscored": sum(reasons.values()),
        "reasons": [{"reason": reason, "count": count} for reason, count in reasons.most_common(5)],
    }  # fmt: skip


def _control(answers: Sequence[Answer], control: str, *, label: bool) -> dict[str, Any]:
    chosen = [answer for answer in answers if answer.probe.control == control]
    scores = [answer.score for answer in chosen if not math.isnan(answer.score)]
    said = rate(chosen, said_yes=True)
    return {
        "control": control, "label": label, "items": len(chosen), "scored": len(scores),
        "yes_rate": said["rate"], "ci": said["ci"], "mean": math.fsum(scores) / len(scores) if scores else None,
    }  # fmt: skip


def _reliability(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    return reliability(*scored_arrays([answer for answer in answers if not math.isnan(answer.score)]))


def _against(
    against: tuple[str, Judge, Mapping[str, Any]], answers: Sequence[Answer], cases: Sequence[Case], size: int
) -> dict[str, Any]:
    name, other, identity = against
    theirs = ask(other, cases, who=f"judge {name!r}", batch_size=size)
    by_question = {(id(answer.case), answer.probe): answer for answer in theirs}
    second = [by_question[id(answer.case), answer.probe] for answer in answers]
    units = [
        {"image": answer.case.name, "control": answer.probe.control, "prompt": answer.probe.prompt,
         "label": answer.probe.label}
        for answer in answers
    ]  # fmt: skip
    return {
        "judge": {"name": name, "identity": dict(identity)},
        "one_word_auc": summarize_answers(_one_word(second))["auc"],
        "controls": agreement(scores_of(answers), scores_of(second), units),
        "run": None,
    }


def _warnings(found: Mapping[str, Any], answers: Sequence[Answer]) -> list[str]:
    """What makes this judge doubtful, the worst first; empty when nothing does."""
    warnings = []
    scores = {answer.score for answer in answers if not math.isnan(answer.score)}
    if len(scores) == 1:
        warnings.append(f"it gives every image the score {scores.pop():g}")
    for row in found["controls"]:
        if not row["label"] and row["control"] != ONE_WORD and (row["yes_rate"] or 0) > DOUBTS["false_yes"]:
            warnings.append(f"it says yes to {row['yes_rate']:.0%} of the questions of kind {row['control']!r}")
    area = found["one_word"]["auc"]
    if area is not None and area < DOUBTS["auc"]:
        warnings.append(f"it hardly tells prompts apart that differ in a word (AUC {area:.2f}; guessing reaches 0.50)")
    asked, unscored = found["questions"]["asked"], found["questions"]["unscored"]
    if unscored > DOUBTS["unscored"] * asked:
        warnings.append(f"it left {unscored} of {asked} questions unscored")
    for row in found["sensitivity"]:
        if (row["flips"] or 0) > DOUBTS["flips"]:
            warnings.append(f"{row['flips']:.0%} of its answers turn round with: {row['change']}")
    return warnings
