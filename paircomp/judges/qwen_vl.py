"""Qwen2.5-VL and Qwen3-VL as judges, in transformers' native classes.

They look at a picture at its own resolution, within the bounds that the checkpoint states. Places of tokens have three
coordinates there; they are worked out once for pictures of one size, with the model's own rule, and always passed: left
to itself the model would fall back to plain ones without a word.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from paircomp.judges.asking import Asker
from paircomp.judges.native_models import load_native, weights_identity
from paircomp.judges.qwen_vl_variants import QwenVariant
from paircomp.judges.requests import Asked, Images
from paircomp.judges.shared_prefix import Forward, additive, last_hidden
from paircomp.judges.token_ids import TokenIds, check_special_tokens, read_tokenizer, unfolded
from paircomp.judges.yes_no import EXACT, Answer, answer_tokens, read_answers
from paircomp.runtime.checkpoints import CheckpointError, checkpoint_folder, resolve_dtype
from paircomp.types import Judgement, JudgeRequest

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["QwenVLJudge", "open_qwen_vl"]

_PICTURE = "<|image_pad|>"
_SPECIAL = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>")
#: What the chat templates of the families render, word for word, around pictures and a question.
_SYSTEM = {"qwen2_5_vl": "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n", "qwen3_vl": ""}
_TURN, _IMAGE, _USUAL_LOOK = "<|im_start|>user\n", f"<|vision_start|>{_PICTURE}<|vision_end|>", "{image}"
_ANSWER = "<|im_end|>\n<|im_start|>assistant\n"


class Patches(NamedTuple):
    """Pictures as the vision tower takes them: values ``[patches, numbers]`` and grids ``[pictures, 3]``."""

    values: Tensor
    grid: Tensor


def open_qwen_vl(
    variant: QwenVariant,
    *,
    checkpoint: str | None,
    device: str,
    dtype: str | None,
    device_map: str | None,
    tokens_at_once: int,
) -> QwenVLJudge:
    """Load a judge.

    Raises:
        CheckpointError: the checkpoint is of another family, not whole, or has another tokenizer.
        UnavailableError: it is not here and cannot be fetched.
    """
    from transformers import Qwen2VLImageProcessorPil

    what = f"judge {variant.name!r}"
    folder = checkpoint_folder(checkpoint or variant.checkpoint, what=what)
    tokens = read_tokenizer(folder)
    chosen = resolve_dtype(dtype, device)
    model = load_native(folder, device=device, dtype=chosen, device_map=device_map, what=what)
    if model.config.model_type not in _SYSTEM:
        found = f"config.json: expected model_type {' or '.join(_SYSTEM)}, got {model.config.model_type!r}"
        raise CheckpointError(folder, [found])
    processor = Qwen2VLImageProcessorPil.from_pretrained(folder, local_files_only=True)
    identity = weights_identity(folder, model, chosen)
    return QwenVLJudge(
        model, processor, tokens, variant, identity=identity, where=folder, tokens_at_once=tokens_at_once
    )


class QwenVLJudge:
    """Judges pictures with a Qwen-VL model; see :func:`open_qwen_vl`.

    Args:
        model: the native model, in evaluation mode.
        processor: cuts pictures into patches.
        tokens: the checkpoint's tokenizer.
        variant: the question.
        identity: what the loader knows of the weights.
        where: the checkpoint, for messages.
        tokens_at_once: bound of the picture tokens in one forward, at least one picture.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        tokens: TokenIds,
        variant: QwenVariant,
        *,
        identity: Mapping[str, Any],
        where: Path,
        tokens_at_once: int,
    ) -> None:
        self._model, self._processor, self._tokens, self._weights = model, processor, tokens, identity
        self._template = variant.template
        expected = {_PICTURE: model.config.image_token_id, **dict.fromkeys(_SPECIAL)}
        self._special = check_special_tokens(tokens, expected, where=where)
        self._answers = answer_tokens(tokens.id_of, where=str(where))
        self._merged = processor.merge_size**2
        self._asker = Asker(cost_at_once=tokens_at_once)

    @property
    def identity(self) -> Mapping[str, Any]:
        """Everything that a score depends on."""
        system = _SYSTEM[self._model.config.model_type]
        return {
            **self._weights,
            "template": {**self._template.to_json(), "system": system},
            "tokens": {"special": self._special, "answers": self._answers.to_json()},
            "pixels": dict(self._processor.size),
            "arithmetic": EXACT.to_json(),
        }

    def asking_no_first(self) -> QwenVLJudge:
        """The same judge with "no" named before "yes" in its question; it shares this one's model."""
        other = copy.copy(self)
        other._template = self._template.no_first()
        return other

    def judge(self, requests: Sequence[JudgeRequest]) -> Iterator[Judgement]:
        """One judgement per question; pictures that become equal grids share a forward.

        Raises:
            FloatingPointError: after all else was answered, when logits were not finite.
        """
        return self._asker.judge(self, requests)

    def close(self) -> None:
        """Free the model."""
        self._asker.close()
        del self._model

    @property
    def images(self) -> int:
        """How many pictures a question is about."""
        return self._template.images

    def ids(self, images: Images, prompt: str) -> list[int]:
        """The whole prompt; see `Looker`."""
        question = self._template.ask(prompt)
        if found := [token for token in self._special if token in question]:
            raise ValueError(f"the prompt holds {found[0]}, which has a meaning to the judge's tokenizer")
        system = _SYSTEM[self._model.config.model_type]
        pictures = _IMAGE.join(self._template.around_images(_USUAL_LOOK))
        ids = self._tokens.encode(system + _TURN + pictures + question + _ANSWER)
        return unfolded(ids, self._special[_PICTURE], [self._tokens_of(*size) for size in self.size(images)[1]])

    def size(self, images: Images) -> tuple[int, tuple[tuple[int, int], ...]]:
        """The number of tokens, and the sizes in pixels that the pictures are resized to."""
        sizes = tuple(map(self._resized, images))
        return sum(self._tokens_of(*size) for size in sizes), sizes

    def _tokens_of(self, height: int, width: int) -> int:
        side = self._processor.patch_size
        tokens: int = (height // side) * (width // side) // self._merged
        return tokens

    def _resized(self, image: Image) -> tuple[int, int]:
        from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

        bounds, side = self._processor.size, self._processor.patch_size
        height, width = smart_resize(
            image.height,
            image.width,
            side * self._processor.merge_size,
            bounds["shortest_edge"],
            bounds["longest_edge"],
        )
        return height, width

    def evidence(self, images: Images) -> dict[str, int]:
        """How closely the pictures were looked at."""
        return {"image_tokens": self.size(images)[0]}

    def prepare(self, images: Images) -> Patches:
        """Their patches, one picture after another."""
        made = self._processor(images=list(images), return_tensors="pt")
        return Patches(made["pixel_values"], made["image_grid_thw"])

    @torch.inference_mode()
    def answers(self, group: Sequence[Asked], prepared: Sequence[Patches]) -> list[Answer]:
        """One look at each picture, all questions at once, logits of the last positions only."""
        forward = self._forward(group[0].prompts[0], prepared)
        hidden = last_hidden(forward, [each.prompts for each in group])
        return read_answers(self._model.lm_head(hidden), self._answers, EXACT)

    def _forward(self, prompt: Sequence[int], prepared: Sequence[Patches]) -> Forward:
        """Pictures come with the first tokens; coordinates are those of one prompt, continued behind it."""
        core = self._model.model
        device = self._model.get_input_embeddings().weight.device
        seen_pictures = {
            "pixel_values": torch.cat([each.values for each in prepared]).to(device),
            "image_grid_thw": torch.cat([each.grid for each in prepared]).to(device),
        }
        table = self._coordinates(prompt, prepared[0].grid)  # [3, L]
        behind = int(table[0, -1]) + 1 - table.shape[1]

        def forward(ids: Tensor, *, places: Tensor, seen: Tensor | None, cache: Any) -> Tensor:
            inside = table[:, places.clamp(max=table.shape[1] - 1)]  # [3, B, L]
            coordinates = torch.where(places < table.shape[1], inside, places + behind)
            given: dict[str, Any] = seen_pictures if seen is None else {}
            table_of = self._model.get_input_embeddings()
            hidden: Tensor = core(
                input_ids=ids.to(device), position_ids=coordinates.expand(3, len(ids), -1).to(device),
                attention_mask=additive(seen, table_of.weight), past_key_values=cache, use_cache=cache is not None,
                **given,
            ).last_hidden_state  # fmt: skip
            return hidden

        return forward

    def _coordinates(self, prompt: Sequence[int], grid: Tensor) -> Tensor:
        """``[3, L]``: time, row and column of each token, by the model's own rule."""
        ids = torch.tensor([prompt])
        kinds = (ids == self._special[_PICTURE]).int()
        found, _ = self._model.model.get_rope_index(ids, mm_token_type_ids=kinds, image_grid_thw=grid)
        coordinates: Tensor = found[:, 0]
        return coordinates
