"""Weights, gradients and optimiser state in shares: each process holds one, by torch's ``fully_shard``.

Passes that learn gather a layer at a time. Rollouts and passes that only look gather all weights once and give them
back afterwards: a decode loop would otherwise gather every layer for every token. Nothing is asked of other processes
meanwhile, so they may draw as many pictures as each of them has.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, distributed, nn

__all__ = ["load_whole", "shard", "share_held", "shares_of", "whole", "whole_tensors"]


def shard(module: nn.Module, device: torch.device) -> None:
    """Leave this process its share of a module's weights; every transformers layer is gathered on its own.

    Gradients are added up over processes, not averaged: each process has its own part of one sum.

    Args:
        module: with whole weights, the same in every process; its parameters are replaced.
        device: where they are.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, fully_shard
    from transformers.modeling_layers import GradientCheckpointingLayer

    mesh = init_device_mesh(device.type, (distributed.get_world_size(),))
    for layer in [each for each in module.modules() if isinstance(each, GradientCheckpointingLayer)]:
        fully_shard(layer, mesh=mesh, reshard_after_forward=True)
    fully_shard(module, mesh=mesh, reshard_after_forward=False)
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.set_force_sum_reduction_for_comms(True)  # gloo knows no other
            part.set_gradient_divide_factor(1.0)


def share_held(module: nn.Module) -> float:
    """Which share of a module's weights this process holds."""
    from torch.distributed.tensor import DTensor

    weights = list(module.parameters())
    held = sum((each.to_local() if isinstance(each, DTensor) else each).numel() for each in weights)
    return held / sum(each.numel() for each in weights)


@contextlib.contextmanager
def whole(module: nn.Module) -> Iterator[None]:
    """Gather all weights of a sharded module, for work without gradients; all processes must do so together."""
    from torch.distributed.fsdp import FSDPModule

    parts = [part for part in module.modules() if isinstance(part, FSDPModule)]
    for part in parts:
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    try:
        yield
    finally:
        for part in parts:
            part.reshard()
            part.set_reshard_after_forward(part is not module, recurse=False)


def load_whole(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Give a sharded module the weights of a whole state, which every process holds."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict

    set_model_state_dict(module, dict(state), options=StateDictOptions(full_state_dict=True))


def whole_tensors(tree: Any) -> Any:
    """The same tree of mappings and lists with every share gathered on the CPU.

    All processes must ask. The main one gets the tensors, one after another; the others get empty ones, because the
    processes of a machine share its memory.
    """
    from torch.distributed.tensor import DTensor

    if isinstance(tree, Mapping):
        return {key: whole_tensors(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [whole_tensors(value) for value in tree]
    if not isinstance(tree, DTensor):
        return tree
    gathered = tree.full_tensor()
    return gathered.cpu() if distributed.get_rank() == 0 else gathered.new_empty(0)


def shares_of(state: Mapping[str, Any], weights: Sequence[Tensor]) -> dict[str, Any]:
    """An optimiser's whole state with each moving average cut as the weight is that it belongs to.

    Args:
        state: of `torch.optim.Optimizer.state_dict`, whole.
        weights: of the optimiser, in their order.
    """
    from torch.distributed.tensor import DTensor, distribute_tensor

    cut: dict[int, dict[str, Any]] = {}
    for index, held in state["state"].items():
        weight = weights[index]
        cut[index] = {
            name: distribute_tensor(value.to(weight.device), weight.device_mesh, weight.placements)
            if isinstance(weight, DTensor) and value.shape == weight.shape
            else value
            for name, value in held.items()
        }
    return {**state, "state": cut}
