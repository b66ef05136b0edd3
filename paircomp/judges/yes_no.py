"""From a language model's last-position logits to the answer: how much of it says yes, how much says no.

Shared by every local vision-language judge. Importing this module loads no torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from paircomp.errors import JudgeError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["EXACT", "NO", "PUBLISHED", "YES", "Answer", "AnswerTokens", "Arithmetic", "answer_tokens", "read_answers"]

#: The words that count, each of which must be one token of its own (published evaluator of PairComp).
YES, NO = ("yes", "Yes", "YES"), ("no", "No", "NO")


@dataclass(frozen=True)
class AnswerTokens:
    """Token ids of :data:`YES` and :data:`NO`, in their order."""

    yes: tuple[int, ...]
    no: tuple[int, ...]

    def to_json(self) -> dict[str, dict[str, int]]:
        """Words with their ids, for a judge's identity."""
        return {"yes": dict(zip(YES, self.yes, strict=True)), "no": dict(zip(NO, self.no, strict=True))}


@dataclass(frozen=True)
class Arithmetic:
    """How the score comes from the logits.

    Attributes:
        top_k: keep only the so many likeliest tokens of the vocabulary (ties with the last are kept), others count 0;
            ``None`` keeps all.
        digits: round the score to so many decimal digits; ``None`` does not.
    """

    top_k: int | None = None
    digits: int | None = None

    def to_json(self) -> Mapping[str, Any]:
        """For a judge's identity."""
        return asdict(self)


#: The published evaluator samples, so that transformers' default of the 50 likeliest tokens comes before its softmax;
#: it rounds each score to 4 digits before any mean is taken.
PUBLISHED = Arithmetic(top_k=50, digits=4)
EXACT = Arithmetic()


@dataclass(frozen=True, slots=True)
class Answer:
    """What one row of logits says.

    Attributes:
        score: P(yes) / (P(yes) + P(no)) in [0, 1]; ``None`` with `unscored`.
        log_yes: log of the yes mass over the whole vocabulary, whatever the arithmetic of the score; finite.
        log_no: log of the no mass, likewise.
        unscored: why there is no score although the logits are sound.
        broken: what is wrong with the logits themselves; nothing else is set then.
    """

    score: float | None = None
    log_yes: float | None = None
    log_no: float | None = None
    unscored: str | None = None
    broken: str | None = None


def answer_tokens(id_of: Callable[[str], int | None], *, where: str) -> AnswerTokens:
    """Look up the six words.

    Args:
        id_of: the id of a vocabulary entry, ``None`` where there is no such entry.
        where: names the tokenizer in the message.

    Raises:
        JudgeError: words that are not single tokens, all of them named.
    """
    ids = {word: id_of(word) for word in YES + NO}
    absent = [word for word, number in ids.items() if number is None]
    if absent:
        raise JudgeError(f"tokenizer of {where}: expected yes and no to be single tokens, but there is none for "
                         f"{', '.join(map(repr, absent))}; next: use a checkpoint with its own tokenizer")  # fmt: skip
    known = {word: number for word, number in ids.items() if number is not None}
    return AnswerTokens(tuple(known[word] for word in YES), tuple(known[word] for word in NO))


def read_answers(logits: Tensor, tokens: AnswerTokens, arithmetic: Arithmetic) -> list[Answer]:
    """The answer of each row.

    Args:
        logits: ``[N, V]``, any float dtype and device; computed in float32.
        tokens: which of the V speak.
        arithmetic: how they become a score.
    """
    import torch

    logits = logits.float()
    sound = torch.isfinite(logits).all(dim=-1)  # [N]
    total = logits.logsumexp(dim=-1)  # [N]
    logs = torch.stack([logits[:, list(side)].logsumexp(dim=-1) - total for side in (tokens.yes, tokens.no)])  # [2, N]
    masses = logs.exp() if arithmetic.top_k is None else _kept_masses(logits, tokens, arithmetic.top_k)  # [2, N]
    rows = zip(sound.tolist(), logs.T.tolist(), masses.T.tolist(), strict=True)
    return [
        _answer(said, kept, arithmetic) if fine else Answer(broken="the model's logits are not finite")
        for fine, said, kept in rows
    ]


def _kept_masses(logits: Tensor, tokens: AnswerTokens, top_k: int) -> Tensor:
    """``[2, N]``: probabilities of yes and no after the truncation that sampling applies before its softmax."""
    import torch

    least = logits.topk(min(top_k, logits.shape[-1]), dim=-1).values[:, -1:]  # [N, 1]
    kept = logits.masked_fill(logits < least, -math.inf).softmax(dim=-1)
    return torch.stack([kept[:, list(side)].sum(dim=-1) for side in (tokens.yes, tokens.no)])


def _answer(logs: Sequence[float], masses: Sequence[float], arithmetic: Arithmetic) -> Answer:
    (log_yes, log_no), (yes, no) = logs, masses
    if arithmetic.top_k is None:
        score = _share(log_yes - log_no)
    elif yes + no > 0:
        score = yes / (yes + no)
    else:
        return Answer(log_yes=log_yes, log_no=log_no,
                      unscored=f"neither yes nor no is among the {arithmetic.top_k} likeliest tokens")  # fmt: skip
    return Answer(score if arithmetic.digits is None else round(score, arithmetic.digits), log_yes, log_no)


def _share(log_odds: float) -> float:
    """The logistic function, without overflow at either end."""
    small = math.exp(-abs(log_odds))
    return 1 / (1 + small) if log_odds >= 0 else small / (1 + small)
