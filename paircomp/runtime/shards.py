"""Which share of the work this process does: asked for, or read from what a launcher left in the environment.

A shard is every n-th image of what a command was asked for. Seeds hang on the image alone, so the number of shards
changes no pixel and no score; it may differ between commands on one run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from paircomp.errors import ConfigError

__all__ = ["ALL", "LaunchedShard", "Shard", "launched_shard", "local_rank", "parse_shard", "scheduled_shard"]

_SHARD = re.compile(r"(\d{1,9})/(\d{1,9})", re.ASCII)


@dataclass(frozen=True)
class Shard:
    """Share `index` of `count`, counted from zero.

    Raises:
        ConfigError: no such share.
    """

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ConfigError([f"expected i/n with i from 0 to n - 1, got {self}"], where="shard")

    @property
    def whole(self) -> bool:
        """Whether this is all there is."""
        return self.count == 1

    @property
    def label(self) -> str:
        """What files of this shard are called after: ``0of3``."""
        return f"{self.index}of{self.count}"

    def within(self, outer: Shard) -> Shard:
        """This share of the share `outer`.

        Example:
            >>> Shard(1, 4).within(Shard(2, 3))
            Shard(index=9, count=12)
        """
        return Shard(outer.index * self.count + self.index, outer.count * self.count)

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


#: One process does everything.
ALL = Shard()


@dataclass(frozen=True)
class LaunchedShard:
    """A share that was read from the environment.

    Attributes:
        shard: the share.
        said: the variables it was read from, for people: ``RANK=1, WORLD_SIZE=4``.
    """

    shard: Shard
    said: str


def parse_shard(text: str) -> Shard:
    """``i/n`` as a shard, counted from zero.

    Raises:
        ConfigError: another form, or no such share.

    Example:
        >>> parse_shard("1/3").label
        '1of3'
    """
    match = _SHARD.fullmatch(text)
    if match is None:
        raise ConfigError([f"expected i/n, such as 0/4 for the first of four, or auto, got {text!r}"], where="shard")
    return Shard(*map(int, match.groups()))


def launched_shard(environment: Mapping[str, str]) -> LaunchedShard | None:
    """The share that a launcher gave to this process; ``None`` where none did.

    torchrun and ``accelerate launch`` set ``RANK`` and ``WORLD_SIZE``; srun sets ``SLURM_PROCID`` and
    ``SLURM_STEP_NUM_TASKS``. All of these start one command several times. (``SLURM_NTASKS`` is no sign of that: it is
    also there in a batch script, which runs once.)

    Raises:
        ConfigError: the variables hold no such share.
    """
    for index, count in (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS")):
        if index in environment and count in environment:
            said = f"{index}={environment[index]}, {count}={environment[count]}"
            return LaunchedShard(_read(environment, index, count), said)
    return None


def scheduled_shard(environment: Mapping[str, str]) -> LaunchedShard | None:
    """The share of this task of a SLURM job array, of any first number and step; ``None`` outside of one.

    A launcher within the task (see :func:`launched_shard`) divides that share further.

    Raises:
        ConfigError: the variables hold no such share.
    """
    names = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_MAX")
    if names[0] not in environment:
        return None
    first_to_last = {"SLURM_ARRAY_TASK_MIN": "0", **environment}
    task, first, last = (_whole_number(first_to_last, name) for name in names)
    step = _whole_number(environment, "SLURM_ARRAY_TASK_STEP") if "SLURM_ARRAY_TASK_STEP" in environment else 1
    said = ", ".join(f"{name}={environment[name]}" for name in (*names, "SLURM_ARRAY_TASK_STEP") if name in environment)
    place, remainder = divmod(task - first, max(step, 1))
    count = (last - first) // max(step, 1) + 1
    told = environment.get("SLURM_ARRAY_TASK_COUNT", str(count))
    if remainder or told != str(count):
        raise ConfigError([f"the job array has gaps ({said}, SLURM_ARRAY_TASK_COUNT={told}), so the place of this task "
                           "is unknown; next: --shard i/n, or an array without gaps"], where="shard")  # fmt: skip
    task_shard, inner = Shard(place, count), launched_shard(environment)
    if inner is None:
        return LaunchedShard(task_shard, said)
    return LaunchedShard(inner.shard.within(task_shard), f"{said}, {inner.said}")


def local_rank(environment: Mapping[str, str]) -> int | None:
    """Which of the processes on this machine this is, as torchrun, ``accelerate launch`` or srun say it."""
    for name in ("LOCAL_RANK", "SLURM_LOCALID"):
        if name in environment and launched_shard(environment) is not None:
            return _whole_number(environment, name)
    return None


def _read(environment: Mapping[str, str], index: str, count: str) -> Shard:
    return Shard(_whole_number(environment, index), _whole_number(environment, count))


def _whole_number(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name, "")
    if not (text.isascii() and text.isdecimal()):
        raise ConfigError([f"{name}: expected a whole number, got {text!r}"], where="environment")
    return int(text)
