"""What InternVL is told besides the picture, as token ids."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from paircomp.judges.question_templates import QuestionTemplate
from paircomp.judges.token_ids import TokenIds, check_special_tokens, unfolded
from paircomp.judges.yes_no import AnswerTokens, answer_tokens
from paircomp.runtime.checkpoints import CheckpointError

__all__ = ["CONTEXT", "SYSTEM", "InternVLPrompt"]

#: The system message of the conversation template ``internvl2_5``, word for word.
SYSTEM = "你是书生·万象，英文名是InternVL，是由上海人工智能实验室、清华大学及多家合作单位联合开发的多模态大语言模型。"  # noqa: RUF001
CONTEXT = "<IMG_CONTEXT>"
_TURNS = f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n"
_IMAGE, _USUAL_LOOK = f"<img>{CONTEXT}</img>", "{image}\n"
_ANSWER = "<|im_end|>\n<|im_start|>assistant\n"
_SPECIAL = ("<|im_start|>", "<|im_end|>", "<img>", "</img>", CONTEXT)
#: Ids that the released families fix, by size of their vocabulary: InternLM2 and Qwen2.5.
_PUBLISHED_IDS: Mapping[int, Mapping[str, int]] = {
    92553: {"<|im_end|>": 92542, CONTEXT: 92546},
    151674: {"<|im_start|>": 151644, "<|im_end|>": 151645, CONTEXT: 151667},
}
_PROBE = "Two red circles, left of a blue square"


class SpecialTokenError(ValueError):
    """A prompt that holds one of the tokens which structure the conversation."""


class InternVLPrompt:
    """Turns prompts into ids, after the tokenizer has been checked.

    Args:
        tokens: the checkpoint's tokenizer.
        template: the question.
        language: the checkpoint's native language-model config.
        image_token_id: what its config says ``<IMG_CONTEXT>`` is; ``None`` where it says nothing.
        where: the checkpoint, for messages.

    Attributes:
        answers: ids of yes and no.

    Raises:
        CheckpointError: special tokens that are absent, have other ids, or are read as several tokens.
        JudgeError: yes or no are not single tokens.
    """

    def __init__(
        self, tokens: TokenIds, template: QuestionTemplate, language: Any, *, image_token_id: int | None, where: Path
    ) -> None:
        self._tokens, self._template = tokens, template
        fixed = {CONTEXT: image_token_id, **_PUBLISHED_IDS.get(language.vocab_size, {})}
        # The published tokenizers of InternLM2 and Llama begin each text with <s>; those of Qwen begin with nothing.
        begin = {"<s>": language.bos_token_id} if language.model_type == "llama" else {}
        expected = {**{token: fixed.get(token) for token in _SPECIAL}, **begin}
        self._special = check_special_tokens(tokens, expected, where=where)
        self._begin = [self._special[token] for token in begin]
        self.answers: AnswerTokens = answer_tokens(tokens.id_of, where=str(where))
        self._check_text(language.vocab_size, where)

    def _check_text(self, vocabulary: int, where: Path) -> None:
        ids = self._tokens.encode(_PROBE)
        said = self._tokens.decode(ids).strip()
        if said != _PROBE:
            raise CheckpointError(where, [f"tokenizer: reads {_PROBE!r} back as {said!r}"])
        if max(ids) >= vocabulary:
            raise CheckpointError(where, [f"tokenizer: id {max(ids)} is beyond the model's {vocabulary} tokens"])

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What of the prompt belongs to the judge's identity."""
        return {
            "template": {**self._template.to_json(), "system": SYSTEM},
            "tokens": {"special": self._special, "answers": self.answers.to_json()},
        }

    def asking(self, template: QuestionTemplate) -> InternVLPrompt:
        """The same, with another question."""
        other = copy.copy(self)
        other._template = template
        other.__dict__.pop("identity", None)  # it is worked out once, and holds the question
        return other

    @property
    def template(self) -> QuestionTemplate:
        """The question."""
        return self._template

    @property
    def image_token_id(self) -> int:
        """Stands for one token of the picture."""
        return self._special[CONTEXT]

    def ids(self, prompt: str, *image_tokens: int) -> list[int]:
        """The whole conversation up to where the answer begins.

        Args:
            prompt: what is asked about.
            image_tokens: how many tokens each picture takes.

        Raises:
            SpecialTokenError: the prompt holds a special token, which would end the question or stand for a picture.
        """
        question = self._template.ask(prompt)
        if found := [token for token in self._special if token in question]:
            raise SpecialTokenError(f"the prompt holds {found[0]}, which has a meaning to the judge's tokenizer")
        pictures = _IMAGE.join(self._template.around_images(_USUAL_LOOK))
        ids = self._begin + self._tokens.encode(_TURNS + pictures + question + _ANSWER)
        return unfolded(ids, self.image_token_id, image_tokens)
