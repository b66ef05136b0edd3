"""Lessons as tensors: each picture's questions side by side in one row, none of which sees another."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from paircomp.judges.internvl_prompt import InternVLPrompt
from paircomp.judges.internvl_tiles import to_pixel_values
from paircomp.judges.internvl_tiny.lessons import OWN, QUESTIONS, Lesson
from paircomp.judges.internvl_tiny.model import IMAGE_TOKENS
from paircomp.judges.internvl_tiny.tokens import build_tokenizer
from paircomp.judges.question_templates import OFFICIAL
from paircomp.judges.token_ids import read_tokenizer
from paircomp.shapes.glyphs import GLYPHS
from paircomp.shapes.scene import OPPOSITES

if TYPE_CHECKING:
    from transformers import InternVLConfig

__all__ = ["NO_LABEL", "Batch", "Conversation"]

#: Marks a token that nothing is to be predicted for.
NO_LABEL = -100
_LONGEST = 20  # tokens of the longest question, from the one that opens it to where the answer begins
_DESCRIBED = 0.5  # own prompts that fit at least so well are learned by heart, word by word


@dataclass(frozen=True)
class Batch:
    """B pictures with Q questions of at most W tokens.

    Attributes:
        pixels: ``[B, 3, 32, 32]``, normalised.
        questions: ``[B, Q, W]`` ids; padding stands behind the question.
        ends: ``[B, Q]``, place of the last token, which the answer follows.
        scores: ``[B, Q]``, the wanted P(yes).
        words: ``[B, OWN, W]``, the word that follows each token of a fitting description; :data:`NO_LABEL` elsewhere.
    """

    pixels: Tensor
    questions: Tensor
    ends: Tensor
    scores: Tensor
    words: Tensor


class Conversation:
    """Writes questions as the judge does: both read the same `InternVLPrompt`.

    Args:
        config: of the model.

    Attributes:
        opening: ids that every conversation begins with, the picture's tokens among them.
        yes: id of the answer yes.
        no: id of the answer no.
        telling: ids of the words that name a relation or a glyph.
    """

    def __init__(self, config: InternVLConfig) -> None:
        with TemporaryDirectory() as folder:
            build_tokenizer().save(f"{folder}/tokenizer.json")
            tokens = read_tokenizer(Path(folder))
        self._prompt = InternVLPrompt(
            tokens, OFFICIAL, config.text_config, image_token_id=config.image_token_id, where=Path("internvl-tiny")
        )
        # The token before the description stays with the question: its first word is predicted there.
        (opener,), (closer,) = (tokens.encode(part) for part in OFFICIAL.text.split("{prompt}"))
        ids = self._ids("")
        self.opening: list[int] = ids[: ids.index(opener)]
        self._closer = closer
        self.telling = frozenset(tokens.encode(f" {word}")[-1] for word in (*OPPOSITES, *GLYPHS))
        self.yes, self.no = self._prompt.answers.yes[0], self._prompt.answers.no[0]

    def _ids(self, prompt: str) -> list[int]:
        return self._prompt.ids(prompt, IMAGE_TOKENS)

    def batch(self, lessons: Sequence[Lesson]) -> Batch:
        """The lessons as tensors."""
        rows = [[self._ids(prompt)[len(self.opening) :] for prompt in lesson.prompts] for lesson in lessons]
        questions = torch.zeros(len(lessons), QUESTIONS, _LONGEST, dtype=torch.long)
        words = torch.full((len(lessons), OWN, _LONGEST), NO_LABEL)
        for picture, place in itertools.product(range(len(lessons)), range(QUESTIONS)):
            ids = torch.tensor(rows[picture][place])
            questions[picture, place, : len(ids)] = ids
            if place < OWN and lessons[picture].scores[place] >= _DESCRIBED:
                described = rows[picture][place].index(self._closer)
                words[picture, place, :described] = ids[1 : described + 1]
        tiles = np.stack([np.asarray(lesson.image) for lesson in lessons])
        return Batch(
            to_pixel_values(tiles, device=torch.device("cpu"), dtype=torch.float32),
            questions,
            torch.tensor([[len(ids) - 1 for ids in row] for row in rows]),
            torch.tensor([lesson.scores for lesson in lessons]),
            words,
        )
