"""Several questions about one picture, for the price of little more than one.

The picture stands before the question, so all questions about it begin with the same tokens. Their keys and values are
computed once. The rest of each question then attends to them and to itself, all questions of a picture in one row, with
the places each would have alone: the cache is read by all and copied for none. The answers equal those to questions
asked one by one, up to the order of summation.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from paircomp.judges.token_ids import shared_length

__all__ = ["Forward", "additive", "last_hidden"]


class Forward(Protocol):
    """Runs tokens through a causal decoder, without its output matrix."""

    def __call__(self, ids: Tensor, *, places: Tensor, seen: Tensor | None, cache: Any) -> Tensor:
        """Hidden states ``[B, L, H]``.

        Args:
            ids: ``[B, L]``; tokens of pictures come only in the first call of a batch.
            places: ``[B or 1, L]``, where in its own sequence each token stands.
            seen: ``[B, 1, L, all tokens so far]``, True where a token sees another; ``None`` is everything before it.
            cache: takes keys and values, and gives those of earlier calls; ``None`` where nothing follows.
        """
        ...


def last_hidden(forward: Forward, questions: Sequence[Sequence[Sequence[int]]]) -> Tensor:
    """The decoder's output at the last token of every question.

    Args:
        forward: the decoder.
        questions: for each picture its questions, each as the ids of the whole prompt.

    Returns:
        ``[N, H]``, the questions of the first picture first.
    """
    if all(len(row) == 1 for row in questions):
        return _asked_alone(forward, [row[0] for row in questions])
    return _asked_together(forward, questions)


def _asked_alone(forward: Forward, prompts: Sequence[Sequence[int]]) -> Tensor:
    """One forward. Padding stands at the right, where no token that matters can see it: no mask is needed."""
    ids = _padded(prompts)  # [B, L]
    hidden = forward(ids, places=torch.arange(ids.shape[1])[None], seen=None, cache=None)
    ends = torch.tensor([len(prompt) - 1 for prompt in prompts])
    return _rows(hidden, torch.arange(len(prompts)), ends)


def _asked_together(forward: Forward, questions: Sequence[Sequence[Sequence[int]]]) -> Tensor:
    from transformers import DynamicCache

    shared = min(map(shared_length, questions))
    cache: Any = DynamicCache()
    prefix = torch.tensor([row[0][:shared] for row in questions])
    forward(prefix, places=torch.arange(shared)[None], seen=None, cache=cache)

    rests = [[prompt[shared:] for prompt in row] for row in questions]
    ids = _padded([list(itertools.chain.from_iterable(row)) for row in rests])
    owners, places = _owners([[len(rest) for rest in row] for row in rests], ids.shape[1])
    hidden = forward(ids, places=places + shared, seen=_seen(owners, shared), cache=cache)
    return _rows(hidden, *_ends(rests))


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


def _seen(owners: Tensor, shared: int) -> Tensor:
    """``[B, 1, S, shared + S]``: a token sees the prefix and what precedes it in its own question."""
    size = owners.shape[1]
    mine = owners[:, :, None] == owners[:, None, :]  # [B, S, S]
    own = mine & torch.ones(size, size, dtype=torch.bool).tril()
    return torch.cat([torch.ones(*own.shape[:2], shared, dtype=torch.bool), own], dim=2)[:, None]


def additive(seen: Tensor | None, inputs: Tensor) -> Tensor | None:
    """`seen` in the form that attention adds to its scores, for inputs of that device and dtype."""
    if seen is None:
        return None
    least = torch.finfo(inputs.dtype).min
    return torch.zeros(seen.shape, dtype=inputs.dtype).masked_fill_(~seen, least).to(inputs.device)


def _ends(rests: Sequence[Sequence[Sequence[int]]]) -> tuple[Tensor, Tensor]:
    """Row and column of the last token of every question in the packed rows."""
    rows = [number for number, row in enumerate(rests) for _ in row]
    ends = [end - 1 for row in rests for end in itertools.accumulate(len(rest) for rest in row)]
    return torch.tensor(rows), torch.tensor(ends)


def _rows(hidden: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    picked: Tensor = hidden[rows.to(hidden.device), columns.to(hidden.device)]
    return picked
