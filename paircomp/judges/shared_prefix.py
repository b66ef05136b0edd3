"""Several questions about one picture, for the price of little more than one.

The picture stands before the question, so all questions about it begin with the same tokens. Their keys and values are
computed once. The rest of each question then attends to them and to itself, all questions of a picture in one row, with
the positions each would have alone: the cache is read by all and copied for none. The answers equal those to questions
asked one by one, up to the order of summation.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from paircomp.judges.token_ids import shared_length

__all__ = ["last_hidden"]

#: Embeds token ids ``[B, L]`` that begin at the given place of their sequences; gives ``[B, L, H]``.
Embed = Callable[[Tensor], Tensor]


def last_hidden(decoder: nn.Module, embed: Embed, questions: Sequence[Sequence[Sequence[int]]]) -> Tensor:
    """The decoder's output at the last token of every question.

    Args:
        decoder: a causal language model without its output matrix.
        embed: embeds ids; it is given the pictures' tokens only together with what stands before them.
        questions: for each picture its questions, each as the ids of the whole prompt.

    Returns:
        ``[N, H]``, the questions of the first picture first.
    """
    if all(len(row) == 1 for row in questions):
        return _asked_alone(decoder, embed, [row[0] for row in questions])
    return _asked_together(decoder, embed, questions)


def _asked_alone(decoder: nn.Module, embed: Embed, prompts: Sequence[Sequence[int]]) -> Tensor:
    """One forward. Padding stands at the right, where no token that matters can see it: no mask is needed."""
    ids = _padded(prompts)  # [B, L]
    inputs = embed(ids)
    positions = torch.arange(ids.shape[1], device=inputs.device)[None]
    hidden = decoder(inputs_embeds=inputs, position_ids=positions, use_cache=False).last_hidden_state
    ends = torch.tensor([len(prompt) - 1 for prompt in prompts], device=hidden.device)
    return _rows(hidden, torch.arange(len(prompts), device=hidden.device), ends)


def _asked_together(decoder: nn.Module, embed: Embed, questions: Sequence[Sequence[Sequence[int]]]) -> Tensor:
    from transformers import DynamicCache

    shared = min(map(shared_length, questions))
    cache: Any = DynamicCache()
    prefix = embed(torch.tensor([row[0][:shared] for row in questions]))
    positions = torch.arange(shared, device=prefix.device)[None]
    decoder(inputs_embeds=prefix, position_ids=positions, past_key_values=cache, use_cache=True)

    rests = [[prompt[shared:] for prompt in row] for row in questions]
    inputs = embed(_padded([list(itertools.chain.from_iterable(row)) for row in rests]))
    owners, places = _owners([[len(rest) for rest in row] for row in rests], inputs.shape[1])
    hidden = decoder(
        inputs_embeds=inputs,
        attention_mask=_mask(owners, shared, inputs.dtype).to(inputs.device),
        position_ids=(places + shared).to(inputs.device),
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state
    rows, ends = _ends(rests)
    return _rows(hidden, rows.to(hidden.device), ends.to(hidden.device))


def _padded(rows: Sequence[Sequence[int]]) -> Tensor:
    return pad_sequence([torch.tensor(row) for row in rows], batch_first=True)


def _owners(lengths: Sequence[Sequence[int]], width: int) -> tuple[Tensor, Tensor]:
    """For each token of the packed rows: which question it belongs to (-1 for padding), and its place in it."""
    owners, places = torch.full((len(lengths), width), -1), torch.zeros((len(lengths), width), dtype=torch.long)
    for number, row in enumerate(lengths):
        each = torch.tensor(row)
        owners[number, : each.sum()] = torch.repeat_interleave(torch.arange(len(row)), each)
        places[number, : each.sum()] = torch.cat([torch.arange(length) for length in row])
    return owners, places


def _mask(owners: Tensor, shared: int, dtype: torch.dtype) -> Tensor:
    """``[B, 1, S, shared + S]``, added to attention: a token sees the prefix and what precedes it in its question."""
    size = owners.shape[1]
    mine = owners[:, :, None] == owners[:, None, :]  # [B, S, S]
    seen = mine & torch.ones(size, size, dtype=torch.bool).tril()
    seen = torch.cat([torch.ones(*seen.shape[:2], shared, dtype=torch.bool), seen], dim=2)
    return torch.zeros(seen.shape, dtype=dtype).masked_fill_(~seen, torch.finfo(dtype).min)[:, None]


def _ends(rests: Sequence[Sequence[Sequence[int]]]) -> tuple[Tensor, Tensor]:
    """Row and column of the last token of every question in the packed rows."""
    rows = [number for number, row in enumerate(rests) for _ in row]
    ends = [end - 1 for row in rests for end in itertools.accumulate(len(rest) for rest in row)]
    return torch.tensor(rows), torch.tensor(ends)


def _rows(hidden: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    picked: Tensor = hidden[rows, columns]
    return picked
