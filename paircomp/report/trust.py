"""How far the numbers can be trusted: the held-out judge's second opinion and the judge's calibration, as panels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from paircomp.report.panels import Panel, signed
from paircomp.report.schema import HeldOutScores, Report, TwoJudges
from paircomp.report.wording import MISSING, average_over, average_title, interval, percent, subtask_title

__all__ = ["calibration_panels", "held_out_panel", "trust_panels"]


def trust_panels(report: Report, *, brief: bool = False) -> list[Panel]:
    """The panels of a report: held-out judge, calibration; none where it has neither.

    Args:
        report: the report.
        brief: of a calibration only the accuracy, for terminals; the other forms of the report show the rest.
    """
    held_out = held_out_panel(report)
    calibration = report.get("calibration")
    panels = calibration_panels(calibration) if calibration else []
    return [*([held_out] if held_out else []), *(panels[1:2] if brief else panels)]


def held_out_panel(report: Report) -> Panel | None:
    """Both judges' scores and their difference; None where the model was trained with no judge."""
    held_out = report.get("held_out")
    if not held_out:
        return None
    ours, theirs = report["judge"]["name"], held_out["judge"] or "held-out judge"
    lead = f"This model was trained with judge {held_out['trained_with_judge']}. "
    if held_out["average"] is None:
        return Panel("Held-out judge", f"{lead}There is no second opinion: {held_out['problem']}", (), ())
    lead += f"{ours} and {theirs} on the pairs that both scored, in percent; difference: {ours} minus {theirs}."
    scores = [(subtask_title(name), line) for name, line in held_out["subtasks"].items()]
    average = average_title(len(scores), average_over(report)[1])
    lines = [_held_out_line(title, line) for title, line in [*scores, (average, held_out["average"])]]
    heads = ("Subtask", "Pairs", "s_a", "s_a held out", "difference", "s_g", "s_g held out", "difference", "interval")
    caption = f"Incomplete: {held_out['problem']}" if held_out["problem"] else ""
    return Panel("Held-out judge", lead, heads, lines, caption)


def _held_out_line(title: str, line: HeldOutScores) -> tuple[str, ...]:
    bounds = line["s_g"]["ci"]
    interval = MISSING if bounds is None else f"{signed(bounds[0])} to {signed(bounds[1])}"
    return (title, f"{line['pairs']:,}", *_both(line["s_a"]), *_both(line["s_g"]), interval)


def _both(scores: TwoJudges) -> tuple[str, str, str]:
    return percent(scores["judge"]), percent(scores["held_out"]), signed(scores["difference"])


def calibration_panels(calibration: Mapping[str, Any]) -> list[Panel]:
    """What ``paircomp-calibration/1`` tells people, the most important first."""
    panels = [_controls(calibration), _measures(calibration), _sensitivity(calibration)]
    if calibration["responses"]:
        panels.append(_responses(calibration["responses"]))
    if calibration["agreement"]:
        panels += _agreements(calibration["judge"]["name"], calibration["agreement"])
    return panels


def _with_bounds(value: float | None, bounds: Sequence[float] | None) -> str:
    written = interval(None if bounds is None else list(bounds))
    return f"{percent(value)} ({written})" if written else percent(value)


def _controls(calibration: Mapping[str, Any]) -> Panel:
    lines = [
        (row["control"], "yes" if row["label"] else "no", f"{row['scored']:,}",
         _with_bounds(row["yes_rate"], row["ci"]), percent(row["mean"]))
        for row in calibration["controls"]
    ]  # fmt: skip
    doubts = calibration["warnings"]
    return Panel(
        f"Calibration of judge {calibration['judge']['name']}",
        "How often the judge says yes (a score of at least 50) where the right answer is certain, in percent.",
        ("Control", "Right answer", "Scored", "Says yes", "Mean score"),
        lines,
        f"Doubtful: {'; '.join(doubts)}." if doubts else _unscored(calibration["questions"]),
    )


def _unscored(questions: Mapping[str, Any]) -> str:
    said = f"{questions['asked']:,} questions, {questions['unscored']:,} unscored"
    reasons = "; ".join(f"{row['count']:,} {row['reason']}" for row in questions["reasons"])
    return f"{said}: {reasons}." if reasons else f"{said}."


def _measures(calibration: Mapping[str, Any]) -> Panel:
    rows = [(subtask_title(name), row) for name, row in calibration["subtasks"].items()]
    rows += [("One word, all subtasks", calibration["one_word"]), ("All controls", calibration["overall"])]
    if calibration["labels"]:
        rows.append(("Human labels", calibration["labels"]))
    lines = [
        (title, f"{row['scored']:,}", _with_bounds(row["auc"], row["auc_ci"]), percent(row["accuracy"]),
         percent(row["calibration_error"]), _with_bounds(row["false_yes"], row["false_yes_ci"]),
         _with_bounds(row["false_no"], row["false_no_ci"]))
        for title, row in rows
    ]  # fmt: skip
    return Panel(
        f"Accuracy of judge {calibration['judge']['name']}",
        "By subtask: a picture's own prompt against one that differs in a word. In percent; guessing reaches an AUC of "
        "50.",
        ("Subtask", "Scored", "AUC", "Accuracy", "Calibration error", "False yes", "False no"),
        lines,
    )


def _sensitivity(calibration: Mapping[str, Any]) -> Panel:
    rows = calibration["sensitivity"]
    lines = [
        (row["change"], f"{row['items']:,}", signed(row["mean_shift"]), percent(row["mean_distance"]),
         percent(row["largest"]), percent(row["flips"]))
        for row in rows if row["items"]
    ]  # fmt: skip
    left_out = [f"{row['change']}: not measured, {row['reason']}" for row in rows if not row["items"]]
    return Panel(
        "What moves the judge without reason",
        "The same question asked again with one change that should change nothing: points of a hundred.",
        ("Change", "Answers", "Mean shift", "Mean distance", "Largest", "Turned round"),
        lines,
        "; ".join(left_out),
    )


def _responses(responses: Mapping[str, Any]) -> Panel:
    named = (("Own prompt", responses["own"]), ("The pair's other prompt", responses["swapped"]))
    lines = [
        (title, f"{row['items']:,}", _with_bounds(row["yes_rate"], row["ci"]), percent(row["mean"]))
        for title, row in named
    ]
    return Panel(
        f"Responses to images of {responses['model']}",
        "How often the judge says yes, in percent: no accuracy, for the generator may have erred.",
        ("Asked about", "Scored", "Says yes", "Mean score"),
        lines,
    )


def _agreements(name: str, against: Mapping[str, Any]) -> Iterator[Panel]:
    other = against["judge"]["name"]
    places = [("controls", against["controls"]), ("images of the run", against["run"])]
    rows = [(place, said) for place, said in places if said]
    lines = [
        (place, f"{said['items']:,}", *map(_number, (said["alpha_scores"], said["alpha_yes_no"])),
         _number(said["rank_correlation"]), *map(percent, said["means"]))
        for place, said in rows
    ]  # fmt: skip
    heads = ("On", "Scored by both", "Alpha, scores", "Alpha, yes or no", "Rank correlation", f"Mean {name}",
             f"Mean {other}")  # fmt: skip
    yield Panel(f"Agreement with judge {other}", "Krippendorff's alpha: 1 is perfect, 0 is chance.", heads, lines)
    worst = [(_unit(unit), *map(percent, unit["scores"])) for unit in rows[-1][1]["disagreements"]]
    yield Panel("Where the two disagree most", f"On the {rows[-1][0]}, in percent.", ("Image", name, other), worst)


def _unit(unit: Mapping[str, Any]) -> str:
    return str(unit["image"]) if unit["prompt"] is None else f"{unit['image']}: {unit['prompt']}"


def _number(value: float | None) -> str:
    return MISSING if value is None else f"{value:.3f}"
