"""The language model of a Janus, one image token after another, over a key-value cache that never moves.

Runs the modules of transformers' Llama itself (so weights that are being trained, adapters and all, are always the
current ones), but not its forward: the cache is allocated once and written in place, attention reads only the part in
use, and no mask is built anew.

Rows are aligned to the left: a row's text starts at slot 0 and its image tokens follow at once, so that slot and
position are the same number and no padding is ever attended to. On a CPU, as many rows are computed together as give
each row the same bits in every batch (see `janus_products`), and the part in use is filled up to a multiple of sixteen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from paircomp_adapters.janus_products import Rows

__all__ = ["CachedDecoder", "head_logits"]

_READ_AT_ONCE = 256
_SPAN = {"cpu": 16}
_OTHER_SPAN = 64


class CachedDecoder:
    """Keys and values of a batch of rows, and the pass that extends them.

    Args:
        language_model: transformers' Llama.
        rows: how many sequences.
        slots: longest sequence.
        together: rows of a matrix product that are computed together.

    Attributes:
        wanted: the rows that remember and attend.
        rows: those and the filling that the matrix products of one position are computed with.
        slots: at least as many as asked for.
        together: as given.
    """

    def __init__(self, language_model: Any, *, rows: int, slots: int, together: Rows) -> None:
        import torch

        config = language_model.config
        weight = language_model.embed_tokens.weight
        self.model = language_model
        self.device: torch.device = weight.device
        self.dtype: torch.dtype = weight.dtype
        self.wanted = rows
        self.rows = together.filled(rows)
        self.together = together
        self.slots = _rounded(slots, _span_of(self.device))
        self._groups: int = config.num_key_value_heads
        self._size: int = config.head_dim or config.hidden_size // config.num_attention_heads
        shape = (config.num_hidden_layers, rows, self._groups, self.slots, self._size)
        self._keys = torch.zeros(shape, dtype=self.dtype, device=self.device)
        self._values = torch.zeros(shape, dtype=self.dtype, device=self.device)
        self._positions = torch.arange(self.slots, device=self.device)
        self._cosine, self._sine = (table[0] for table in language_model.rotary_emb(weight, self._positions[None]))
        # Where the slot 0 of each row and head lies in a layer's cache seen as one list.
        self._starts = torch.arange(rows * self._groups, device=self.device).view(rows, -1) * self.slots

    def empty_states(self, rows: int) -> Tensor:
        """``[rows, H]`` zeros, as :meth:`extend` returns states."""
        return self._keys.new_zeros(rows, self.model.config.hidden_size)

    def span(self, used: int) -> int:
        """How many slots attention reads when `used` are in use."""
        return min(self.slots, _rounded(used, _span_of(self.device)))

    def extend(self, inputs: Tensor, slots: Tensor, span: int) -> Tensor:
        """Pass the next inputs of every row and remember their keys and values.

        Args:
            inputs: ``[rows, n, H]`` embeddings; the wanted rows alone where n is a multiple of sixteen.
            slots: ``[rows, n]``, where they stand.
            span: from :meth:`span` of the highest slot plus one.

        Returns:
            As many states as inputs, before the final norm.
        """
        slots = slots[: self.wanted]
        cosine, sine = self._cosine[slots].unsqueeze(1), self._sine[slots].unsqueeze(1)  # [wanted, 1, n, size]
        bias = self._bias(slots, span)
        places = (self._starts[:, :, None] + slots[:, None, :]).flatten()  # [wanted * groups * n]
        hidden = inputs
        for index, layer in enumerate(self.model.layers):
            hidden = hidden + self._attend(index, layer, hidden, (cosine, sine), bias, places)
            hidden = hidden + self.together.apply(layer.mlp, _norm(layer.post_attention_layernorm, hidden))
        return hidden

    def read(self, inputs: Tensor) -> Tensor:
        """Pass whole texts from slot 0, some positions at a time: a long one takes no more memory than its cache.

        Args:
            inputs: ``[wanted, slots, H]`` embeddings.

        Returns:
            ``[wanted, slots, H]``, before the final norm.
        """
        import torch

        places = self._positions.expand(self.wanted, -1)
        parts = [slice(start, start + _READ_AT_ONCE) for start in range(0, self.slots, _READ_AT_ONCE)]
        return torch.cat(
            [self.extend(inputs[:, part], places[:, part], min(part.stop, self.slots)) for part in parts], 1
        )

    def _bias(self, slots: Tensor, span: int) -> Tensor:
        """``[wanted, n, span]``: 0 where a key is visible, minus infinity where it is of a later slot."""
        later = self._positions[:span] > slots.unsqueeze(-1)
        return later.new_zeros(later.shape, dtype=self._cosine.dtype).masked_fill_(later, float("-inf"))

    def finish(self, hidden: Tensor) -> Tensor:
        """The final norm."""
        return _norm(self.model.norm, hidden)

    def copy_from(self, other: CachedDecoder, rows: Tensor, source: Tensor) -> None:
        """Take over what `other` remembers, its row ``source[i]`` as row ``rows[i]``."""
        self._keys[:, rows, :, : other.slots] = other._keys[:, source]
        self._values[:, rows, :, : other.slots] = other._values[:, source]

    def _attend(
        self, index: int, layer: Any, hidden: Tensor, rotation: tuple[Tensor, Tensor], bias: Tensor, places: Tensor
    ) -> Tensor:
        attention = layer.self_attn
        normed = _norm(layer.input_layernorm, hidden)
        apply = self.together.apply
        query = _rotated(self._heads_of(apply(attention.q_proj, normed)), *rotation)  # [wanted, heads, n, size]
        key = _rotated(self._heads_of(apply(attention.k_proj, normed)), *rotation)
        value = self._heads_of(apply(attention.v_proj, normed))
        keys, values = self._keys[index], self._values[index]
        keys.view(-1, self._size).index_copy_(0, places, key.flatten(0, 2))
        values.view(-1, self._size).index_copy_(0, places, value.flatten(0, 2))
        span = bias.shape[-1]
        # The fused kernel of a CPU gives one position the same bits in every batch, but not a text of many.
        attend = _products if self.device.type == "cpu" and query.shape[2] > 1 else _fused
        mixed = attend(query, keys[:, :, :span], values[:, :, :span], bias, attention.scaling)
        return apply(attention.o_proj, _filled(mixed.transpose(1, 2).flatten(2), hidden.shape[0]))

    def _heads_of(self, projected: Tensor) -> Tensor:
        """``[rows, n, heads * size]`` to ``[wanted, heads, n, size]``."""
        kept = projected[: self.wanted]
        return kept.view(*kept.shape[:2], -1, self._size).transpose(1, 2)


def head_logits(head: Any, hidden: Tensor, together: Rows) -> Tensor:
    """``[rows, V]`` logits of the generation head.

    Args:
        head: transformers' generation head.
        hidden: ``[rows, H]``, as many as :meth:`Rows.filled` gives.
        together: rows of a product that are computed together.
    """
    from paircomp_adapters.janus_products import multiply_wide

    return together.apply(
        lambda states: multiply_wide(head.vision_head, head.activation_fn(head.proj_out(states))), hidden
    )


def _filled(wanted: Tensor, rows: int) -> Tensor:
    """The wanted rows, and zeros up to `rows`."""
    from torch.nn import functional

    spare = rows - wanted.shape[0]
    return functional.pad(wanted, (0, 0, 0, 0, 0, spare)) if spare else wanted


def _rounded(count: int, step: int) -> int:
    return -(-count // step) * step


def _span_of(device: torch.device) -> int:
    return _SPAN.get(device.type, _OTHER_SPAN)


def _rotated(states: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    import torch

    first, second = states.chunk(2, -1)
    return states * cosine + torch.cat((-second, first), -1) * sine


def _norm(norm: Any, hidden: Tensor) -> Tensor:
    from torch.nn import functional

    return functional.rms_norm(hidden, norm.weight.shape, norm.weight, norm.variance_epsilon)


def _products(query: Tensor, keys: Tensor, values: Tensor, bias: Tensor, scale: float) -> Tensor:
    """Attention by two batched products, which on a CPU do not depend on the batch.

    Args:
        query: ``[rows, heads, n, size]``.
        keys: ``[rows, groups, span, size]``, heads / groups heads share one.
        values: likewise.
        bias: ``[rows, n, span]``, 0 where a key is visible, minus infinity elsewhere.
        scale: of the scores.
    """
    rows, heads, new, size = query.shape
    groups, span = keys.shape[1:3]
    shared = query.reshape(rows * groups, -1, size)  # heads of one group stand below each other
    seen = keys.flatten(0, 1)
    scores = shared.bmm(seen.mT)
    visible = (scores * scale).view(rows, heads, new, span).float() + bias.unsqueeze(1)
    weights = visible.softmax(-1).to(values.dtype).view(rows * groups, -1, span)
    return weights.bmm(values.flatten(0, 1)).view(rows, heads, new, size)


def _fused(query: Tensor, keys: Tensor, values: Tensor, bias: Tensor, scale: float) -> Tensor:
    """The same by one fused kernel: for accelerators, and for single positions on a CPU."""
    from torch.nn import functional

    mask = bias.unsqueeze(1).to(query.dtype)
    shared = keys.shape[1] != query.shape[1]
    return functional.scaled_dot_product_attention(query, keys, values, attn_mask=mask, scale=scale, enable_gqa=shared)
