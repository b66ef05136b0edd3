"""Those parts of the data card that say how a record becomes a pair, and under which licence and guard it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from focusdiff.data.contamination import EMBEDDED

__all__ = ["CREDITS", "how_records_pass", "origin_and_guard"]

#: Who made the images, by the source's name.
CREDITS: Mapping[str, str] = {
    "UltraEdit": "UltraEdit by Haozhe Zhao et al. (arXiv 2407.05282)",
    "AnyEdit": "AnyEdit by Qifan Yu et al. (arXiv 2411.15738)",
    "shapes": "drawn by `paircomp.shapes`",
}


def how_records_pass(report: Mapping[str, Any]) -> Iterator[str]:
    """What each stage asks, who answers, and what passes.

    Args:
        report: what ``funnel.json`` holds.
    """
    identity, recipe = report["identity"], report["identity"]["recipe"]
    limits = {**recipe["screening"], **recipe["alignment"]}
    yield "## How a record becomes a pair"
    yield ""
    yield "| stage | asks | answered by | passes |"
    yield "|---|---|---|---|"
    yield (
        "| screen | Does the edit follow its instruction? Does the rest stay as it was? Are both images natural and of "
        f"good quality? | {_who(identity, 'screener')} | {_screened(recipe, limits)} |"
    )
    yield (f"| caption | a caption for each image, alike in structure, different in key words | "
           f"{_who(identity, 'captioner')} | two texts |")  # fmt: skip
    yield (f"| verify | Are the captions alike in structure? | {_who(identity, 'structure')} | "
           f"{_alike(recipe['structure'])} |")  # fmt: skip
    yield (f"| verify | Is each caption true of its own image, and not of the other? | {_who(identity, 'verifier')} | "
           f"own at least {limits['aligned']:g}, other below {limits['unaligned']:g} |")  # fmt: skip
    yield ""
    yield (f"What verification refuses is captioned and verified once more, then dropped. {_scores(report)}"
           f"The texts of all questions are version `{recipe['questions']}` of `questions.json` in `focusdiff.data`; "
           "`funnel.json` holds everything that the parts say of themselves.")  # fmt: skip


def _who(identity: Mapping[str, Any], part: str) -> str:
    """A part by its name, with what tells its weights."""
    named = identity["recipe"][part]
    says = identity.get(f"{part} opened", {}).get("says", {})
    weights = says.get("weights") if isinstance(says.get("weights"), Mapping) else {}
    told = {
        "model": says.get("model"),
        "checkpoint": named["checkpoint"] or says.get("checkpoint"),
        "revision": (weights or says).get("revision"),
        "fingerprint": weights.get("fingerprint"),
    }
    words = [f"{name} {value}" for name, value in told.items() if isinstance(value, str) and value]
    return f"`{named['name']}`" + (f" ({', '.join(words)})" if words else "")


def _screened(recipe: Mapping[str, Any], limits: Mapping[str, float]) -> str:
    if recipe["screener"]["name"] == "none":
        return "whatever can be read: nothing was asked"
    if recipe["screener"]["name"] == "pixel-difference":
        return "every answer is yes"
    return f"every score at least {limits['threshold']:g}"


def _alike(structure: Mapping[str, Any]) -> str:
    most = structure["options"].get("most")
    return "yes" if most is None else f"at most {100 * most:g} % of the words differ, at least one"


def _scores(report: Mapping[str, Any]) -> str:
    own, other = report["scores"]["own"], report["scores"]["other"]
    if own is None or other is None:
        return ""
    return (f"Of the pairs that were kept, the verifier's score of a prompt on its own image is {own['mean']:.3f} in "
            f"the mean and {own['least']:.3f} at least, on the other image {other['mean']:.3f} and {other['most']:.3f} "
            "at most. ")  # fmt: skip


def origin_and_guard(report: Mapping[str, Any]) -> Iterator[str]:
    """Licences, what the guard against contamination did, and what counts as a duplicate."""
    yield "## Licence and origin"
    yield ""
    yield "| licence | pairs |"
    yield "|---|---:|"
    for name, count in report["licences"].items():
        yield f"| {name} | {count:,} |"
    yield ""
    yield ("The columns `source`, `origin` and `licence` say it for each record. Images are the source's own files, "
           "unchanged; prompts are the captioner's.")  # fmt: skip
    if "unknown" in report["licences"]:
        yield "**Licences that are unknown must be cleared before the data is passed on.**"
    yield ""
    yield from _guard(report)
    yield ""
    yield _duplicates(report["duplicates"])


def _guard(report: Mapping[str, Any]) -> Iterator[str]:
    guard = report["guard"]
    stage = next(each for each in report["stages"] if each["stage"] == "contamination")
    refused: Mapping[str, int] = stage["reasons"]
    yield "## Contamination and duplicates"
    yield ""
    yield (f"{sum(refused.values()):,} of {stage['entered']:,} verified pairs were refused, because a prompt of theirs "
           "lay too close to a benchmark's.")  # fmt: skip
    yield ""
    yield "| benchmark | prompts held against | too close is | pairs refused |"
    yield "|---|---|---|---:|"
    rule = f"{guard['ngram']} words in a row in common, or at most {100 * guard['edits']:g} % of the words to change"
    for name, said in guard["held_against"].items():
        count = sum(number for reason, number in refused.items() if reason.startswith(f"{name}: "))
        yield f"| {name} (SHA-256 {said['digest'][:12]}…) | {said['prompts']:,} | {rule} | {count:,} |"
    shown = sum(number for reason, number in refused.items() if reason.startswith("embedded suites: "))
    yield f"| {', '.join(EMBEDDED)} | all | the same picture is asked for | {shown:,} |"
    for name in guard["missing"]:
        yield f"| {name} | **none: it was not at hand** | | |"


def _duplicates(rules: Mapping[str, Any]) -> str:
    if rules["kept"]:
        return "Duplicates were not looked for."
    return (f"Of pairs with the same two images, in either order, one is kept. So it is of pairs whose prompts share "
            f"{100 * rules['overlap']:g} % of their three-word runs and whose image hashes differ in at most "
            f"{rules['bits']} of 192 bits each.")  # fmt: skip
