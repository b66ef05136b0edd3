"""Matrix products of few rows on a CPU: the same bits in every batch, and weights that are packed for them once.

A CPU's matrix library chooses its way by the shape of a product, and two ways may add the same numbers up in another
order. So how many rows are computed together can change the last bit of each. Which numbers of rows go the same way
depends on processor, library, threads and the weight's shape, hence it is measured: :func:`steady_rows` multiplies one
vector, many times over, with a weight of each shape and looks from how many rows to how many every result is the same.
Between the two, larger products are cut into blocks and smaller ones are filled up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["PackedLinear", "Rows", "has_onednn", "multiply_wide", "pack_weights", "steady_rows"]

_STEP = 4
_FEWEST = (4, 8, 16)
#: Blocks are multiples of the largest `_FEWEST`, so that what is left of a text behind them is never too small.
_MOST = (16, 32, 48, 64, 96, 128)
_TRIED = (*range(_STEP, 33, _STEP), 40, 48, 56, 64, 80, 96, 112, 128)
_PIECE = 1024
#: Rows that a weight is packed for. The order is good for any number of them; of one row alone oneDNN makes another.
_PACKED_FOR = 16
_SMALLEST = 32 * 2**20


class Rows(NamedTuple):
    """How many rows of a product are computed together.

    Attributes:
        fewest: that smaller ones are filled up to.
        most: that larger ones are cut into; ``None`` where nothing is cut or filled up.
    """

    fewest: int = 1
    most: int | None = None

    def filled(self, rows: int) -> int:
        """How many rows are computed for `rows` that are wanted: no block is too small then."""
        if self.most is None:
            return rows
        whole, left = divmod(rows, self.most)
        return whole * self.most + (max(self.fewest, -(-left // _STEP) * _STEP) if left else 0)

    def apply(self, function: Callable[[Tensor], Tensor], states: Tensor) -> Tensor:
        """A function of single rows over ``[..., H]`` states, block by block.

        Args:
            function: ``[rows, H]`` to ``[rows, any]``, each row by itself.
            states: as many rows as :meth:`filled` gives, or a multiple of 16.
        """
        if self.most is None or states.shape[:-1].numel() <= self.most:
            return function(states)
        flat = states.flatten(0, -2)
        blocks = [flat[start : start + self.most] for start in range(0, len(flat), self.most)]
        return torch.cat([function(block) for block in blocks]).view(*states.shape[:-1], -1)


class PackedLinear(nn.Module):
    """A linear layer for few rows on a CPU: its weight lies in the order in which oneDNN's kernels read it.

    Of a weight that lies row by row, a matrix library first copies all of it into such an order, at every token anew,
    and for few rows that takes longer than the product. Not to be trained, copied, saved or moved: nobody but oneDNN
    can read what lies there. The operators are those that torch's own compiler uses for frozen weights.

    Args:
        linear: what it computes; float32 on a CPU.

    Attributes:
        weight: ``[outputs, inputs]``, opaque.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), _PACKED_FOR)
        self.weight = packed  # no buffer: nothing that walks over a model's tensors could read it
        self.bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, states: Tensor) -> Tensor:
        """``[..., inputs]`` to ``[..., outputs]``.

        Raises:
            RuntimeError: a gradient is asked for; there would be none, and nobody would hear of it.
        """
        if torch.is_grad_enabled() and states.requires_grad:
            raise RuntimeError("weights that are packed for drawing cannot be trained; next: load the model anew")
        product: Tensor = torch.ops.mkldnn._linear_pointwise(states, self.weight, self.bias, "none", [], "")
        return product

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:  # noqa: FBT001 - torch's own
        del destination, prefix, keep_vars
        raise RuntimeError("weights that are packed for drawing cannot be saved; next: load the model anew")


def pack_weights(model: Any, *, smallest: int = _SMALLEST) -> bool:
    """Put a `PackedLinear` in the place of the linear layers that draw a Janus's image tokens, where that is faster.

    It is for float32 on a CPU whose torch has oneDNN, and for weights that the processor's cache does not hold from one
    token to the next. The products are the same, but sums are added up in another order.

    Args:
        model: transformers' Janus; changed in place, one layer after the other, and only good for drawing afterwards.
        smallest: bytes of all these weights together, from which on it is done.

    Returns:
        Whether it was done.
    """
    if not has_onednn():
        return False
    parents = [module for part in _parts(model) for module in part.modules() if type(module) is not nn.Linear]
    places = [
        (parent, name, layer.weight.nbytes) for parent in parents for name, layer in parent.named_children()
        if type(layer) is nn.Linear and layer.weight.device.type == "cpu" and layer.weight.dtype == torch.float32
    ]  # fmt: skip
    if not places or sum(size for _, _, size in places) < smallest:
        return False
    for parent, name, _ in places:  # no list holds the layers, so that each weight goes as soon as it is packed
        setattr(parent, name, PackedLinear(getattr(parent, name)))
    return True


def has_onednn() -> bool:
    """Whether this torch multiplies on the CPU with oneDNN too."""
    backend: Any = torch.backends.mkldnn
    return bool(backend.is_available())


def multiply_wide(layer: nn.Module, states: Tensor) -> Tensor:
    """A linear layer of very many outputs, such as the last of a generation head.

    Its product is made in pieces where a CPU's library would first copy all of the weight: that takes longer than the
    product itself, unless the copy stays in the processor's cache. The bits are the same.
    """
    if type(layer) is not nn.Linear or states.device.type != "cpu":
        whole: Tensor = layer(states)
        return whole
    parts = [slice(start, start + _PIECE) for start in range(0, layer.out_features, _PIECE)]
    bias = layer.bias
    return torch.cat([functional.linear(states, layer.weight[part], bias[part]) for part in parts], -1)


def steady_rows(model: Any) -> Rows:
    """How many rows of the products that draw a Janus's image tokens can be computed together with equal bits.

    Args:
        model: transformers' Janus.

    Returns:
        What holds for all of its products here, with as many threads as now; measured once for each shape. On
        accelerators nothing is measured, and nothing promised.
    """
    ends = []
    for function, weight in _products(model):
        if weight.device.type != "cpu":
            return Rows()
        ends.append(_ends(function, weight))
    most = {fewest: min(end[place] for end in ends) for place, fewest in enumerate(_FEWEST)}
    best = max(_FEWEST, key=lambda fewest: (most[fewest], -fewest))
    # Products of one and the same shape always go the same way, so sixteen at a time need no measurement.
    return Rows(best, most[best]) if most[best] else Rows(_MOST[0], _MOST[0])


def _parts(model: Any) -> tuple[nn.Module, ...]:
    core = model.model
    return core.language_model.layers, core.generation_head, core.generation_aligner


def _products(model: Any) -> Iterator[tuple[Callable[[Tensor], Tensor], Tensor]]:
    """Every product, and the weight of it."""
    wide = model.model.generation_head.vision_head
    for part in _parts(model):
        for module in part.modules():
            if isinstance(module, PackedLinear):
                yield module, module.weight
            elif isinstance(module, nn.Linear):
                yield (lambda states: multiply_wide(wide, states)) if module is wide else module, module.weight


_KNOWN: dict[tuple[Any, ...], tuple[int, ...]] = {}


def _ends(function: Callable[[Tensor], Tensor], weight: Tensor) -> tuple[int, ...]:
    """For each of `_FEWEST`, up to how many rows a product has the same bits from there on; 0 for not even that one."""
    inputs = weight.shape[1]
    key = (type(function), weight.shape, weight.dtype, torch.get_num_threads())
    if key not in _KNOWN:
        vector = torch.randn(inputs, generator=torch.Generator().manual_seed(0)).to(weight.dtype)
        with torch.no_grad():
            results = {rows: function(vector.expand(rows, -1).contiguous()) for rows in _TRIED}
        _KNOWN[key] = tuple(_end(results, fewest) for fewest in _FEWEST)
    return _KNOWN[key]


def _end(results: dict[int, Tensor], fewest: int) -> int:
    expected, steady = results[fewest][0], 0
    for rows, result in results.items():
        if rows >= fewest:
            if not bool((result == expected).all()):
                break
            steady = rows
    return max((most for most in _MOST if most <= steady), default=0)
