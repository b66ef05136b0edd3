"""Reading a checkpoint's tokenizer without executing its code.

Three forms are met: ``tokenizer.json`` (transformers' own layout), ``vocab.json`` with ``merges.txt`` (original
InternVL on Qwen), and ``tokenizer.model`` with special tokens in ``tokenizer_config.json`` or ``added_tokens.json``
(original InternVL on InternLM2, whose tokenizer class is remote code). Each answers two questions: the ids of a text,
and the id of a vocabulary entry. No token is ever added on its own account: what a prompt begins with is the prompt's
business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

from paircomp.errors import UnavailableError
from paircomp.runtime.checkpoints import CheckpointError, read_json

__all__ = ["TokenIds", "check_special_tokens", "read_tokenizer", "shared_length", "unfolded"]


class TokenIds(Protocol):
    """What a judge needs of a tokenizer."""

    def encode(self, text: str) -> list[int]:
        """Ids of the text; special tokens written in it count as such, none is added."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text again, special tokens included."""
        ...

    def id_of(self, token: str) -> int | None:
        """Id of a vocabulary entry; ``None`` where there is none."""
        ...


class _FastTokenizer:
    """The ``tokenizers`` library, as transformers uses it."""

    def __init__(self, file: Path) -> None:
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises bare Exceptions
            raise CheckpointError(file, [f"not readable as a tokenizer ({str(error)[:150]})"]) from error

    def encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False))

    def id_of(self, token: str) -> int | None:
        number = self._tokenizer.token_to_id(token)
        return None if number is None else int(number)


class _PairTokenizer:
    """Byte pairs from ``vocab.json`` and ``merges.txt``, with the class that transformers has for Qwen."""

    def __init__(self, folder: Path) -> None:
        from transformers import Qwen2Tokenizer

        try:
            self._tokenizer = Qwen2Tokenizer.from_pretrained(folder, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise CheckpointError(folder, [f"vocab.json, merges.txt: not readable ({str(error)[:150]})"]) from error
        self._vocabulary: Mapping[str, int] = self._tokenizer.get_vocab()

    def encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False))

    def id_of(self, token: str) -> int | None:
        return self._vocabulary.get(token)


class _SentencePieces:
    """A SentencePiece model, and special tokens around which the text is cut before the model sees it."""

    def __init__(self, file: Path, special: Mapping[str, int]) -> None:
        try:
            from sentencepiece import SentencePieceProcessor
        except ModuleNotFoundError as error:
            raise UnavailableError(f"the tokenizer {file}", package="sentencepiece",
                                   remedy="python -m pip install sentencepiece") from error  # fmt: skip
        try:
            self._model = SentencePieceProcessor(model_file=str(file))
        except (OSError, RuntimeError) as error:
            raise CheckpointError(file, [f"not readable as a SentencePiece model ({str(error)[:150]})"]) from error
        self._special = dict(special)
        self._words = {number: word for word, number in special.items()}
        longest_first = sorted(special, key=len, reverse=True)
        self._cut = re.compile("(" + "|".join(map(re.escape, longest_first)) + ")") if special else None

    def encode(self, text: str) -> list[int]:
        ids: list[int] = []
        for part in self._cut.split(text) if self._cut else [text]:
            if part in self._special:
                ids.append(self._special[part])
            elif part:
                ids += self._model.encode(part)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        pieces: list[str] = []
        run: list[int] = []
        for number in ids:
            if number in self._words:
                pieces += [self._model.decode(run), self._words[number]]
                run = []
            else:
                run.append(number)
        return "".join([*pieces, self._model.decode(run)])

    def id_of(self, token: str) -> int | None:
        if token in self._special:
            return self._special[token]
        number = int(self._model.piece_to_id(token))
        return None if number == self._model.unk_id() else number


def read_tokenizer(folder: Path) -> TokenIds:
    """The tokenizer of a checkpoint folder.

    Raises:
        CheckpointError: there is none, or it cannot be read.
        UnavailableError: it needs ``sentencepiece``, which is not installed.
    """
    if (folder / "tokenizer.json").is_file():
        return _FastTokenizer(folder / "tokenizer.json")
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        return _PairTokenizer(folder)
    if (folder / "tokenizer.model").is_file():
        return _SentencePieces(folder / "tokenizer.model", _special_tokens(folder))
    raise CheckpointError(folder, ["no tokenizer: expected tokenizer.json, vocab.json with merges.txt, or "
                                   "tokenizer.model; next: check that the download is whole"])  # fmt: skip


def _special_tokens(folder: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    if (folder / "added_tokens.json").is_file():
        found |= {str(token): int(number) for token, number in read_json(folder / "added_tokens.json").items()}
    if (folder / "tokenizer_config.json").is_file():
        declared: Any = read_json(folder / "tokenizer_config.json").get("added_tokens_decoder", {})
        found |= {str(token["content"]): int(number) for number, token in declared.items()}
    return found


def check_special_tokens(tokens: TokenIds, expected: Mapping[str, int | None], *, where: Path) -> dict[str, int]:
    """Make sure that special tokens are what the model was trained with.

    Args:
        tokens: the tokenizer.
        expected: each special token with the id that the checkpoint or its family fixes; ``None`` where any will do.
        where: the checkpoint, for the message.

    Returns:
        The ids.

    Raises:
        CheckpointError: a token that is absent, has another id, or is not read as one token; all are named.
    """
    ids = {word: tokens.id_of(word) for word in expected}
    faults = [f"tokenizer: no token {word}" for word, number in ids.items() if number is None]
    known = {word: number for word, number in ids.items() if number is not None}
    faults += [
        f"tokenizer: {word} has id {number}, expected {expected[word]}"
        for word, number in known.items()
        if expected[word] not in (None, number)
    ]
    faults += [
        f"tokenizer: {word} is read as {len(tokens.encode(word))} tokens, expected one"
        for word, number in known.items()
        if tokens.encode(word) != [number]
    ]
    if faults:
        raise CheckpointError(where, faults)
    return known


def shared_length(sequences: Iterable[Sequence[int]]) -> int:
    """How many first tokens all sequences have in common, at most all but the last of the shortest.

    Example:
        >>> shared_length([[1, 2, 3, 4], [1, 2, 5]])
        2
        >>> shared_length([[1, 2], [1, 2]])
        1
    """
    rows = list(sequences)
    most = min(map(len, rows)) - 1
    for row, following in pairwise(rows):
        most = next((place for place in range(most) if row[place] != following[place]), most)
    return most


def unfolded(ids: Sequence[int], token: int, lengths: Sequence[int]) -> list[int]:
    """The ids with each occurrence of a picture's token repeated as often as that picture takes.

    Args:
        ids: hold `token` once for each picture.
        token: stands for a picture.
        lengths: how many tokens each takes, in order.

    Raises:
        ValueError: there are more or fewer occurrences than lengths.
    """
    left = iter(lengths)
    if ids.count(token) != len(lengths):
        raise ValueError(f"expected {len(lengths)} images in the prompt, found places for {ids.count(token)}")
    return [each for one in ids for each in ([one] * next(left) if one == token else [one])]
