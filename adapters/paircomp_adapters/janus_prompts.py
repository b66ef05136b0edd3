r"""The prompt of Janus: text to token ids, and the unconditional twin that guidance subtracts.

The prompt is that of the published code, ``<|User|>: TEXT\n\n<|Assistant|>:<begin_of_image>`` behind a
beginning-of-sentence token. For the unconditional twin every token but that one and ``<begin_of_image>`` becomes the
pad token, and is attended to like the text it stands for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from paircomp.runtime.checkpoints import CheckpointError, read_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor

__all__ = ["TEMPLATE", "JanusPrompts", "PromptTokens"]

TEMPLATE = "<|User|>: {prompt}\n\n<|Assistant|>:"
_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "preprocessor_config.json",
          "processor_config.json", "chat_template.jinja", "chat_template.json")  # fmt: skip
_BEGIN_OF_IMAGE = "<begin_of_image>"
_PAD = "<｜▁pad▁｜>"  # noqa: RUF001 - the token's own characters
_IMAGE = "<image_placeholder>"


class PromptTokens(NamedTuple):
    """A batch of tokenised prompts.

    Attributes:
        ids: ``[B, S]``, padded on the left.
        mask: ``[B, S]``, 1 where there is a token, 0 on padding.
        unconditional: ``[B, S]``, the twins.
    """

    ids: Tensor
    mask: Tensor
    unconditional: Tensor


class JanusPrompts:
    """Turns prompts into token ids with the tokenizer file of a checkpoint, whichever library wrote it.

    Args:
        folder: holds ``tokenizer.json`` and ``tokenizer_config.json``.

    Attributes:
        files: what the tokenizer and the processor of transformers are read from, by name. They are kept here because
            a training that goes on from its own checkpoint outlives that folder.

    Raises:
        CheckpointError: the tokenizer is missing, damaged, or lacks a token that Janus needs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        paths = [folder / name for name in _FILES]
        self.files: Mapping[str, bytes] = {path.name: path.read_bytes() for path in paths if path.is_file()}
        self._tokenizer = _read_tokenizer(folder)
        said = read_json(folder / "tokenizer_config.json")
        self.begin = self._id(_content(said.get("bos_token")), "bos_token")
        self.begin_of_image = self._id(_content(said.get("boi_token")) or _BEGIN_OF_IMAGE, "boi_token")
        pad = _PAD if self._tokenizer.token_to_id(_PAD) is not None else _content(said.get("pad_token"))
        self.pad = self._id(pad, "pad_token")
        image = _content(said.get("image_token")) or _IMAGE
        self.image = self._tokenizer.token_to_id(image)

    def _id(self, token: str | None, name: str) -> int:
        number = None if token is None else self._tokenizer.token_to_id(token)
        if number is None:
            raise CheckpointError(self.folder, [f"tokenizer: no {name} ({token!r}); is this a Janus?"])
        return int(number)

    def tokens(self, prompt: str) -> list[int]:
        """Ids of one prompt, from beginning-of-sentence to ``<begin_of_image>``, unpadded."""
        text = self._tokenizer.encode(TEMPLATE.format(prompt=prompt), add_special_tokens=False).ids
        return [self.begin, *text, self.begin_of_image]

    def unconditional(self, tokens: Sequence[int]) -> list[int]:
        """The twin of one prompt's ids."""
        kept = (self.begin, self.begin_of_image)
        return [token if token in kept else self.pad for token in tokens]

    def batch(self, prompts: Sequence[str]) -> PromptTokens:
        """Ids of several prompts, padded on the left."""
        import torch

        rows = [self.tokens(prompt) for prompt in prompts]
        longest = max(map(len, rows))
        ids = torch.tensor([[self.pad] * (longest - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
        twins = [self.unconditional(row) for row in rows]
        unconditional = torch.tensor([[self.pad] * (longest - len(twin)) + twin for twin in twins])
        return PromptTokens(ids, mask, unconditional)


def _read_tokenizer(folder: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    if not file.is_file():
        raise CheckpointError(folder, ["tokenizer.json: missing; next: copy it from the model's repository"])
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises bare Exception
        raise CheckpointError(folder, [f"tokenizer.json: not readable ({error})"]) from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _content(token: Any) -> str | None:
    """A token of a tokenizer config: a string, or an object with its text under ``content``."""
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) else None
