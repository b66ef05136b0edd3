"""The pictures of a step: samples drawn in one batch, ground truth encoded, both decoded and sent to the reward.

All accumulation micro-batches are sampled together, because a decode loop costs nearly the same for many pictures as
for few; `at_most` bounds the memory of their keys and values. Pictures leave for the reward as soon as their part is
drawn, so a slow reward works while the next part is sampled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

from focusdiff.groups import Group, Kind, Member
from focusdiff.rewards.scores import Scores

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image
    from torch import Tensor

    from focusdiff.stopwatch import Stopwatch
    from focusdiff.training_protocols import Reward
    from paircomp.protocols import Policy, Rollout

__all__ = ["StepPictures", "draw_step", "kv_bytes"]


@dataclass
class StepPictures:
    """All members of a step, groups one after another; B members, L tokens each.

    Attributes:
        members: B.
        sizes: of the groups; they sum to B.
        tokens: ``[B, L]``.
        rollout_log_probs: ``[B, L]`` as the sampler computed them; NaN for ground truth.
        keep: ``[B, L, ...]`` masks of a truncated sampler, as its rollout gave them; ``None`` where nothing was cut.
        pictures: B, decoded from the tokens: what is rewarded is what the tokens show, ground truth included.
        decoded: how many different ones.
        scores: what the reward will say, in parts: positions of members and the future of their rewards.
    """

    members: list[Member]
    sizes: list[int]
    tokens: Tensor
    rollout_log_probs: Tensor
    keep: Tensor | None
    pictures: list[Image]
    decoded: int
    scores: list[tuple[list[int], Future[Sequence[float]]]]

    def rewards(self) -> list[float]:
        """Wait for the reward; NaN where it could not tell."""
        found = [float("nan")] * len(self.members)
        for places, future in self.scores:
            for place, score in zip(places, future.result(), strict=True):
                found[place] = float(score)
        return found

    def answers(self) -> Iterator[tuple[list[int], Scores]]:
        """What the reward said of each part beside its numbers; a reward that says no more is passed over."""
        for places, future in self.scores:
            found = future.result()
            if isinstance(found, Scores):
                yield places, found

    def rows(self, rows: list[int]) -> tuple[list[str], Tensor, Tensor | None]:
        """Prompts, tokens and masks of some members, as a policy takes them."""
        keep = None if self.keep is None else self.keep[rows]
        return [self.members[row].prompt for row in rows], self.tokens[rows], keep

    def mask(self, kind: Kind) -> Tensor:
        """``[B]`` of booleans: members of this kind."""
        import torch

        return torch.tensor([member.kind == kind for member in self.members])


def draw_step(
    policy: Policy, reward: Reward, groups: Sequence[Group], *, at_most: int, stopwatch: Stopwatch
) -> StepPictures:
    """Sample, encode, decode and send to the reward.

    Args:
        policy: as it is now.
        reward: asked in parts.
        groups: of the step.
        at_most: pictures sampled together; 0 takes all.
        stopwatch: is told ``rollout`` and ``decode``.
    """
    members = [member for group in groups for member in group]
    parts = _Parts(policy, reward, members, stopwatch)
    sampled = [place for place, member in enumerate(members) if member.kind == "sampled"]
    for places in _cut(sampled, at_most):
        parts.sample(places)
    parts.encode([place for place, member in enumerate(members) if member.kind != "sampled"])
    return parts.together([len(group) for group in groups])


class _Parts:
    """Collects the parts of a step."""

    def __init__(self, policy: Policy, reward: Reward, members: list[Member], stopwatch: Stopwatch) -> None:
        self._policy = policy
        self._reward = reward
        self._members = members
        self._stopwatch = stopwatch
        self._tokens: list[tuple[list[int], Tensor]] = []
        self._rollouts: list[tuple[list[int], Rollout]] = []
        self._pictures: dict[int, Image] = {}
        self._decoded = 0
        self._scores: list[tuple[list[int], Future[Sequence[float]]]] = []

    def sample(self, places: list[int]) -> None:
        with self._stopwatch("rollout"):
            prompts = [self._members[place].prompt for place in places]
            seeds = [seed for place in places if (seed := self._members[place].seed) is not None]
            rollout = self._policy.sample(prompts, seeds=seeds)
        self._rollouts.append((places, rollout))
        self._take(places, rollout.tokens, range(len(places)))

    def encode(self, places: list[int]) -> None:
        """Ground truth: each picture is encoded once, however many prompts it is held against."""
        if not places:
            return
        with self._stopwatch("encode"):
            pictures = {id(picture): picture for place in places
                        if (picture := self._members[place].picture) is not None}  # fmt: skip
            row = {number: index for index, number in enumerate(pictures)}
            encoded = self._policy.encode(list(pictures.values()))
        self._take(places, encoded, [row[id(self._members[place].picture)] for place in places])

    def _take(self, places: list[int], tokens: Tensor, row: Sequence[int]) -> None:
        """Decode each picture once and ask the reward about every member; `row` says whose tokens are whose."""
        with self._stopwatch("decode"):
            decoded = self._policy.decode(tokens)
        self._decoded += len(decoded)
        self._tokens.append((places, tokens[list(row)]))
        pictures = [decoded[each] for each in row]
        self._pictures.update(zip(places, pictures, strict=True))
        members = [self._members[place] for place in places]
        asked = [member.prompt for member in members], pictures, [member.subtask for member in members]
        self._scores.append((places, self._reward.score(*asked)))

    def together(self, sizes: list[int]) -> StepPictures:
        import torch

        count = len(self._members)
        tokens = _placed(self._tokens, count, fill=0)
        log_probs = [(places, each.log_probs) for places, each in self._rollouts if each.log_probs is not None]
        keep = [(places, each.keep) for places, each in self._rollouts if each.keep is not None]
        unknown = tokens.new_full(tokens.shape, float("nan"), dtype=torch.float32)
        return StepPictures(
            self._members, sizes, tokens,
            _placed(log_probs, count, fill=float("nan")) if log_probs else unknown,
            _placed(keep, count, fill=255) if keep else None,  # ground truth: every code had a chance
            [self._pictures[place] for place in range(count)], self._decoded, self._scores,
        )  # fmt: skip


def _placed(parts: Sequence[tuple[list[int], Tensor]], count: int, *, fill: float) -> Tensor:
    """Rows of several parts, each at its place; places without a row hold `fill`."""
    first = parts[0][1]
    whole = first.new_full((count, *first.shape[1:]), fill)
    for places, rows in parts:
        whole[places] = rows
    return whole


def _cut(places: list[int], at_most: int) -> Iterator[list[int]]:
    """Parts of nearly equal size, none above `at_most`."""
    if not places:
        return
    parts = 1 if at_most == 0 else -(-len(places) // at_most)
    size = -(-len(places) // parts)
    yield from (places[start : start + size] for start in range(0, len(places), size))


def kv_bytes(*, layers: int, key_value_heads: int, head_size: int, positions: int, dtype: torch.dtype) -> int:
    """Memory of one sequence's keys and values, for choosing ``rollout_batch`` by a budget.

    Args:
        layers: of the language model.
        key_value_heads: of each layer.
        head_size: numbers of a key.
        positions: prompt and image tokens.
        dtype: of the cache.
    """
    return 2 * layers * key_value_heads * head_size * positions * dtype.itemsize
