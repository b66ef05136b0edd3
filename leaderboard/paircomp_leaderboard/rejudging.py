"""Judging a random sample of a bundle's images again."""

from __future__ import annotations

import contextlib
import inspect
import math
import random
import secrets
import types
import typing
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
    from paircomp.protocols import Judge, JudgeFactory
    from paircomp_leaderboard.archives import BundleFile

__all__ = ["Rejudging", "judge_again"]

_Place = tuple[int, int, int, int]
_Result = tuple[Literal["passed", "failed", "skipped"], str]
_BATCH = 8


@dataclass(frozen=True, slots=True)
class _Said:
    """What a judge says of an image and a prompt: the score, and the share of yes by its logs where it gives them."""

    score: float | None
    by_logs: float | None

    @classmethod
    def of(cls, score: float | None, log_yes: float | None, log_no: float | None) -> _Said:
        return cls(score, None if log_yes is None or log_no is None else _share(log_yes - log_no))


def _share(log_odds: float) -> float:
    """The logistic function, without overflow at either end."""
    small = math.exp(-abs(log_odds))
    return 1 / (1 + small) if log_odds >= 0 else small / (1 + small)


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
    """Ask the judge again about some images and hold its scores and logs against the stored ones.

    Returns:
        The outcome and what was found; skipped where images, prompts or judge are not at hand.
    """
    wanted: dict[_Place, _Said] = {
        (r["pair"], r["prompt"], r["sample"], r["judged_prompt"]):
            _Said.of(r["score"], r.get("log_yes"), r.get("log_no"))
        for r in judgements if r.get("score") is not None
    }  # fmt: skip
    if suite is None:
        return "skipped", "the prompts are not at hand"
    if not wanted or f"images/{ImageKey(*min(wanted)[:3]).filename}" not in file.names:
        return "skipped", "the bundle holds no images"
    try:
        factory = registry.judge(entry.said["judge"]["name"])
        named = _outside_names(entry.said["judge"]["identity"], factory)
        if named and not how.trust_judge:
            return "skipped", (f"the entry's judge names weights, files or addresses ({named}); "
                               "next: --trust-judge if you know them")  # fmt: skip
        judge = _open_judge(entry, factory, how.device)
    except PairCompError as error:
        return "skipped", f"the judge is not at hand: {error}"
    with contextlib.closing(judge):
        return _sampled(judge, entry, suite, wanted, file, how)


def _outside_names(identity: Mapping[str, Any], factory: JudgeFactory) -> str:
    """Options by which a stranger's bundle could have the judge load or call something.

    Any text may name a host or a file. Only numbers, choices that the factory lists, and its own defaults are harmless.
    """
    defaults = {name: parameter.default for name, parameter in inspect.signature(factory).parameters.items()}
    given = {"checkpoint": identity.get("checkpoint"), **(identity.get("options") or {})}
    return ", ".join(
        name for name, value in given.items()
        if value is not None and not isinstance(value, (bool, int, float))
        and (name not in defaults or value != defaults[name]) and not _only_choices(_hints(factory).get(name))
    )  # fmt: skip


def _hints(factory: JudgeFactory) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(factory)
    except (NameError, TypeError):  # annotations that exist only while type checking
        return {}


def _only_choices(hint: Any) -> bool:
    """Whether an option of this type holds no text but what the type itself lists."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return all(_only_choices(choice) for choice in typing.get_args(hint))
    return typing.get_origin(hint) is Literal or hint in (bool, int, float, type(None))


def _open_judge(entry: Entry, factory: JudgeFactory, device: str) -> Judge:
    said = entry.said["judge"]
    options = said["identity"].get("options") or {}
    check_options(factory, options, where=f"options of judge {said['name']!r} in the entry", also=JUDGE_OPTIONS)
    return factory(checkpoint=said["identity"].get("checkpoint"), device=resolve_device(device), **options)


def _sampled(
    judge: Judge, entry: Entry, suite: Suite, wanted: Mapping[_Place, _Said], file: BundleFile, how: Rejudging
) -> _Result:
    says = entry.said["judge"]["identity"].get("says")
    if says is not None and says != identity_of(judge):
        return "failed", f"the judge here is another one: it says {identity_of(judge)}, the entry {says}"
    images = sorted({ImageKey(*place[:3]) for place in wanted})
    seed = secrets.randbits(32) if how.seed is None else how.seed
    keys = sorted(random.Random(seed).sample(images, max(1, math.ceil(how.share * len(images)))))  # noqa: S311
    try:
        fresh = _ask(judge, [_request(key, suite, file, wanted) for key in keys])
    except (PairCompError, UnreadableImageError) as error:
        return "failed", f"could not be judged: {error}"
    chosen = set(keys)
    asked = {place: said for place, said in wanted.items() if ImageKey(*place[:3]) in chosen}
    return _compared(fresh, asked, how.tolerance, f"{len(keys)} images, sample seed {seed}")


def _request(key: ImageKey, suite: Suite, file: BundleFile, wanted: Mapping[_Place, _Said]) -> JudgeRequest:
    pair = suite.pairs[key.pair]
    questions = tuple(
        Question(number, prompt, pair.subtask) for number, prompt in enumerate(pair.prompts) if (*key, number) in wanted
    )
    return JudgeRequest(key, (read_rgb(file.read(f"images/{key.filename}")),), questions)


def _ask(judge: Judge, requests: Sequence[JudgeRequest]) -> dict[_Place, _Said]:
    fresh: dict[_Place, _Said] = {}
    for start in range(0, len(requests), _BATCH):
        for answer in judge.judge(requests[start : start + _BATCH]):
            fresh[*answer.key, answer.judged_prompt] = _Said.of(answer.score, answer.log_yes, answer.log_no)
    return fresh


def _compared(fresh: Mapping[_Place, _Said], stored: Mapping[_Place, _Said], tolerance: float, sample: str) -> _Result:
    faults, largest = [], 0.0
    for place, before in stored.items():
        now = fresh.get(place, _Said(None, None))
        differences = [("score", before.score, now.score, "unscored")]
        if now.score is not None:
            # Contrast scores come from the logs, so that forged ones would do without any forged score.
            differences.append(("share of yes by its logs", before.by_logs, now.by_logs, "none"))
        for what, old, new, lacking in differences:
            apart = 0.0 if old is new is None else math.inf if old is None or new is None else abs(old - new)
            largest = max(largest, apart)
            if not apart <= tolerance:
                shown = [lacking if value is None else f"{value:.4f}" for value in (old, new)]
                name = ImageKey(*place[:3]).filename
                faults.append(f"{name}, prompt {place[3]}: stored {what} {shown[0]}, now {shown[1]}")
    if faults:
        few = "; ".join(faults[:10])
        return "failed", (f"{len(faults)} answers to {len(stored)} questions differ by more than {tolerance:g} "
                          f"({sample}): {few}")  # fmt: skip
    return "passed", f"{len(stored)} scores, largest difference {largest:.2g} (tolerance {tolerance:g}; {sample})"
