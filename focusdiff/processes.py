"""How a run is spread over processes, as torchrun and ``accelerate launch`` start them: one command, several times.

Every process draws, rewards and learns from its own groups of a step; a group is never cut. Each micro-batch is
weighted by the members of the whole step, over all processes, and gradients are added up once, behind the last one: a
step is that of one process up to rounding, and processes may hold different numbers of groups and micro-batches.

What fails in one process fails in all: at fixed points of a step they tell each other.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from paircomp.errors import RunError

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import Tensor, nn

__all__ = ["Processes", "open_processes"]

Part = TypeVar("Part")
Told = TypeVar("Told")

#: How long a process waits for the others: one of them may ask a slow judge, or write a large checkpoint.
_PATIENCE = timedelta(hours=2)


def open_processes(*, device: str, precision: str, sharding: str = "none") -> Processes:
    """The processes that a launcher started, this one among them; one where there is no launcher.

    Args:
        device: of this process.
        precision: ``float32`` or ``bfloat16``, of the training passes.
        sharding: ``none``: each process holds all weights; ``full``: its share of them.
    """
    from accelerate import Accelerator
    from accelerate.utils import InitProcessGroupKwargs
    from torch import distributed

    before = distributed.is_available() and distributed.is_initialized()
    accelerator = Accelerator(
        mixed_precision="bf16" if precision == "bfloat16" else "no", cpu=device == "cpu",
        kwargs_handlers=[InitProcessGroupKwargs(timeout=_PATIENCE)],
    )  # fmt: skip
    return Processes(accelerator, opened=not before, sharded=sharding == "full" and accelerator.num_processes > 1)


class Processes:
    """The processes of a run, seen from one of them.

    Args:
        accelerator: connects them, and knows the number format of passes.
        opened: whether the connection is this run's own, to be closed with it.
        sharded: whether each holds a share of the weights, see `focusdiff.sharding`.
    """

    def __init__(self, accelerator: Accelerator, *, opened: bool = False, sharded: bool = False) -> None:
        self.accelerator = accelerator
        self.sharded = sharded
        self._opened = opened

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self.accelerator.num_processes)

    @property
    def index(self) -> int:
        """Which one this is, from zero."""
        return int(self.accelerator.process_index)

    @property
    def main(self) -> bool:
        """Whether this is the one that writes and tells."""
        return self.index == 0

    def own(self, whole: Sequence[Part]) -> Sequence[Part]:
        """This process's share of a step's pairs or groups."""
        return whole[self.index :: self.count]

    def gathered(self, told: Told) -> list[Told]:
        """What each process has to tell, in their order; all of them must ask."""
        if self.count == 1:
            return [told]
        from accelerate.utils import gather_object

        every: list[Told] = gather_object([told])
        return every

    @contextlib.contextmanager
    def apart(self, place: Path, *modules: nn.Module) -> Iterator[None]:
        """Work that asks nothing of other processes; where it fails in one of them, all of them stop here.

        Args:
            place: the run's folder, for messages.
            modules: whose weights it needs whole, without gradients.

        Raises:
            RunError: another process failed; names it, and what it said.
        """
        if self.count == 1:
            yield
            return
        mine: Exception | None = None
        with contextlib.ExitStack() as gathered:
            if self.sharded:
                from focusdiff.sharding import whole

                for module in modules:
                    gathered.enter_context(whole(module))
            try:
                yield
            except Exception as error:
                mine = error
        said = self.gathered(None if mine is None else f"{type(mine).__name__}: {' '.join(str(mine).split())}")
        if mine is not None:
            raise mine
        for index, fault in enumerate(said):
            if fault is not None:
                raise RunError(place, f"process {index} of {self.count} stopped, so this one does too: {fault}")

    @contextlib.contextmanager
    def connected(self, place: Path) -> Iterator[None]:
        """Turn what the exchange says of a process that is gone into a :class:`RunError`."""
        try:
            yield
        except RuntimeError as error:
            if self.count == 1 or not _is_of_exchange(error):
                raise
            raise RunError(
                place,
                f"another of the {self.count} processes ended, or cannot be reached ({' '.join(str(error).split())}); "
                "next: see what that one said, and run the same command again",
            ) from error

    def share_out(self, module: nn.Module) -> None:
        """Leave this process its share of a module's weights, where the run is sharded."""
        if self.sharded:
            from focusdiff.sharding import shard

            shard(module, self.accelerator.device)

    def paced(self, parts: Iterable[Part]) -> Iterator[tuple[Part, bool]]:
        """Micro-batches that learn, each with whether it counts.

        Shares are gathered and gradients exchanged in every pass, so all processes need as many: one that has fewer
        repeats its last one for nothing.
        """
        own = list(parts)
        most = max(self.gathered(len(own))) if self.sharded else len(own)  # before the first: they work in step
        yield from ((part, True) for part in own)
        yield from [(own[-1], False)] * (most - len(own))

    def share_gradients(self, weights: Sequence[Tensor]) -> None:
        """Add up the gradients of all processes: each had its own part of one sum.

        This is all of data parallelism, once per step: a wrapper that exchanges gradients during the backward pass
        would gain on the last micro-batch alone, and would ask as many of each process. Where weights are in shares,
        the passes have added up already.
        """
        if self.count == 1 or self.sharded:
            return
        import torch
        from torch import distributed

        for weight in weights:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
            distributed.all_reduce(weight.grad)

    def clip_gradients(self, weights: Sequence[Tensor], most: float) -> float:
        """Scale gradients down to a norm of at most `most`; returns what it was, over all shares."""
        import torch

        norm = torch.nn.utils.clip_grad_norm_(weights, most)
        return float(norm.full_tensor() if self.sharded else norm)  # type: ignore[attr-defined]

    def whole(self, tree: Any) -> Any:
        """A tree of tensors with shares gathered for the main process; all must ask."""
        if not self.sharded:
            return tree
        from focusdiff.sharding import whole_tensors

        return whole_tensors(tree)

    def close(self) -> None:
        """Leave together, where this run made the connection."""
        if self.count == 1 or not self._opened:
            return
        from accelerate.state import AcceleratorState

        self.accelerator.wait_for_everyone()
        self.accelerator.end_training()
        AcceleratorState._reset_state(reset_partial_state=True)


def _is_of_exchange(error: RuntimeError) -> bool:
    from torch import distributed

    said = str(error).lower()
    return isinstance(error, distributed.DistError) or "gloo" in said or "nccl" in said
