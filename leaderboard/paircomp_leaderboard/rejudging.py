"""Judging a random sample of a bundle's images again."""

from __future__ import annotations

import contextlib
import math
import random
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from paircomp.errors import PairCompError
from paircomp.runtime.capabilities import JUDGE_OPTIONS, check_options, identity_of
from paircomp.runtime.images import UnreadableImageError, read_rgb
from paircomp.runtime.machine import resolve_device
from paircomp.types import ImageKey, JudgeRequest, Question, Suite
from paircomp_leaderboard.entries import Entry

if TYPE_CHECKING:
    from paircomp.plugins import Registry
    from paircomp.protocols import Judge
    from paircomp_leaderboard.archives import BundleFile

__all__ = ["Rejudging", "judge_again"]

_Place = tuple[int, int, int, int]
_Result = tuple[Literal["passed", "failed", "skipped"], str]
_BATCH = 8


@dataclass(frozen=True)
class Rejudging:
    """How images are judged again.

    Attributes:
        share: of the scored images, at least one.
        tolerance: largest difference of two scores that counts as the same.
        seed: of the sample; None takes one that nobody can foresee.
        device: of the judge.
        trust_judge: load the weights and call the addresses that the entry's judge names.
    """

    share: float = 0.05
    tolerance: float = 0.02
    seed: int | None = None
    device: str = "auto"
    trust_judge: bool = False


def judge_again(
    entry: Entry, suite: Suite | None, judgements: Sequence[Mapping[str, Any]], file: BundleFile, registry: Registry,
    how: Rejudging,
) -> _Result:  # fmt: skip
    """Ask the judge again about some images and hold its scores against the stored ones.

    Returns:
        The outcome and what was found; skipped where images, prompts or judge are not at hand.
    """
    wanted: dict[_Place, float] = {
        (r["pair"], r["prompt"], r["sample"], r["judged_prompt"]): r["score"]
        for r in judgements if r.get("score") is not None
    }  # fmt: skip
    if suite is None:
        return "skipped", "the prompts are not at hand"
    if not wanted or f"images/{ImageKey(*min(wanted)[:3]).filename}" not in file.names:
        return "skipped", "the bundle holds no images"
    named = _outside_names(entry.said["judge"]["identity"])
    if named and not how.trust_judge:
        return (
            "skipped",
            f"the entry's judge names weights or addresses ({named}); next: --trust-judge if you know them",
        )
    try:
        judge = _open_judge(entry, registry, how.device)
    except PairCompError as error:
        return "skipped", f"the judge is not at hand: {error}"
    with contextlib.closing(judge):
        return _sampled(judge, entry, suite, wanted, file, how)


def _outside_names(identity: Mapping[str, Any]) -> str:
    """Weights, files and addresses that a stranger's bundle would have the judge load or call."""
    given = {"checkpoint": identity.get("checkpoint"), **(identity.get("options") or {})}
    return ", ".join(
        name for name, value in given.items()
        if isinstance(value, str) and (name == "checkpoint" or any(sign in value for sign in "/\\:"))
    )  # fmt: skip


def _open_judge(entry: Entry, registry: Registry, device: str) -> Judge:
    said = entry.said["judge"]
    factory = registry.judge(said["name"])
    options = said["identity"].get("options") or {}
    check_options(factory, options, where=f"options of judge {said['name']!r} in the entry", also=JUDGE_OPTIONS)
    return factory(checkpoint=said["identity"].get("checkpoint"), device=resolve_device(device), **options)


def _sampled(
    judge: Judge, entry: Entry, suite: Suite, wanted: Mapping[_Place, float], file: BundleFile, how: Rejudging
) -> _Result:
    said = entry.said["judge"]["identity"].get("says")
    if said is not None and said != identity_of(judge):
        return "failed", f"the judge here is another one: it says {identity_of(judge)}, the entry {said}"
    images = sorted({ImageKey(*place[:3]) for place in wanted})
    seed = secrets.randbits(32) if how.seed is None else how.seed
    keys = sorted(random.Random(seed).sample(images, max(1, math.ceil(how.share * len(images)))))  # noqa: S311
    try:
        fresh = _ask(judge, [_request(key, suite, file, wanted) for key in keys])
    except (PairCompError, UnreadableImageError) as error:
        return "failed", f"could not be judged: {error}"
    chosen = set(keys)
    asked = {place: score for place, score in wanted.items() if ImageKey(*place[:3]) in chosen}
    return _compared(fresh, asked, how.tolerance, f"{len(keys)} images, sample seed {seed}")


def _request(key: ImageKey, suite: Suite, file: BundleFile, wanted: Mapping[_Place, float]) -> JudgeRequest:
    pair = suite.pairs[key.pair]
    questions = tuple(
        Question(number, prompt, pair.subtask) for number, prompt in enumerate(pair.prompts) if (*key, number) in wanted
    )
    return JudgeRequest(key, (read_rgb(file.read(f"images/{key.filename}")),), questions)


def _ask(judge: Judge, requests: Sequence[JudgeRequest]) -> dict[_Place, float | None]:
    fresh: dict[_Place, float | None] = {}
    for start in range(0, len(requests), _BATCH):
        for answer in judge.judge(requests[start : start + _BATCH]):
            fresh[*answer.key, answer.judged_prompt] = answer.score
    return fresh


def _compared(
    fresh: Mapping[_Place, float | None], stored: Mapping[_Place, float], tolerance: float, sample: str
) -> _Result:
    faults, largest = [], 0.0
    for place, score in stored.items():
        now = fresh.get(place)
        apart = math.inf if now is None else abs(now - score)
        largest = max(largest, apart)
        if apart > tolerance:
            shown = "unscored" if now is None else f"{now:.4f}"
            faults.append(f"{ImageKey(*place[:3]).filename}, prompt {place[3]}: stored {score:.4f}, now {shown}")
    if faults:
        few = "; ".join(faults[:10])
        return "failed", f"{len(faults)} of {len(stored)} scores differ by more than {tolerance:g} ({sample}): {few}"
    return "passed", f"{len(stored)} scores, largest difference {largest:.2g} (tolerance {tolerance:g}; {sample})"
