"""InternVL as a judge: one look at a picture, any number of questions, one forward for a batch.

Reproduces the evaluator that PairComp was published with (InternVL2.5-26B; FocusDiff, arXiv 2506.05501, section 2.2)
from the logits of the last position alone. Which question, view and arithmetic belong to which name says
`paircomp.judges.internvl_variants`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from paircomp.errors import UnavailableError
from paircomp.judges.asking import Asker
from paircomp.judges.internvl_layout import config_of, load_internvl
from paircomp.judges.internvl_prompt import CONTEXT, InternVLPrompt
from paircomp.judges.internvl_tiles import TilePolicy, to_pixel_values
from paircomp.judges.native_models import described_weights
from paircomp.judges.requests import Asked, Images
from paircomp.judges.shared_prefix import Forward, additive, last_hidden
from paircomp.judges.token_ids import read_tokenizer
from paircomp.judges.yes_no import Answer, read_answers
from paircomp.runtime.checkpoints import checkpoint_folder, resolve_dtype, torch_dtype
from paircomp.types import Judgement, JudgeRequest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from transformers import InternVLForConditionalGeneration

    from paircomp.judges.internvl_variants import Variant

__all__ = ["InternVLJudge", "open_internvl"]

#: Tiles that go through the model together, by kind of device; more only cost memory there.
_TILES_AT_ONCE = {"cpu": 10, "cuda": 64, "mps": 16}


def open_internvl(
    variant: Variant,
    *,
    checkpoint: str | None,
    device: str,
    dtype: str | None,
    device_map: str | None = None,
    tiles_at_once: int | None = None,
) -> InternVLJudge:
    """Load a judge.

    Args:
        variant: question, view and arithmetic.
        checkpoint: in place of the variant's own: a folder or hub id of any InternVL, in either layout.
        device: where the model runs.
        dtype: of the weights; default bfloat16 on accelerators, float32 on a CPU.
        device_map: ``auto`` spreads the model over all accelerators; needs ``accelerate``.
        tiles_at_once: how many tiles go through the model together.

    Raises:
        CheckpointError: the checkpoint is not whole, or not what it says it is.
        UnavailableError: it is not here and cannot be fetched.
    """
    what = f"judge {variant.name!r}"
    folder = checkpoint_folder(checkpoint or variant.checkpoint, what=what)
    tokens = read_tokenizer(folder)
    config = config_of(folder, tokens.id_of(CONTEXT))
    prompt = InternVLPrompt(
        tokens, variant.template, config.text_config, image_token_id=config.image_token_id, where=folder
    )
    chosen = resolve_dtype(dtype, device)
    home = "cpu" if device_map else device
    model, weights = load_internvl(folder, config, device=home, dtype=torch_dtype(chosen))
    identity = {
        "weights": described_weights(folder, weights),
        "dtype": chosen,
        "attention": str(model.config._attn_implementation),
    }
    at_once = tiles_at_once or _TILES_AT_ONCE.get(device.split(":", maxsplit=1)[0], 16)
    return InternVLJudge(_spread(model, device_map, what), prompt, variant, identity=identity, tiles_at_once=at_once)


def _spread(
    model: InternVLForConditionalGeneration, device_map: str | None, what: str
) -> InternVLForConditionalGeneration:
    if device_map is None:
        return model
    try:
        from accelerate import dispatch_model, infer_auto_device_map
    except ModuleNotFoundError as error:
        remedy = "python -m pip install 'paircomp[models]'"
        raise UnavailableError(f"{what} with device_map", package="accelerate", remedy=remedy) from error
    whole = ["InternVLVisionLayer", *(type(layer).__name__ for layer in model.model.language_model.layers[:1])]
    spread: InternVLForConditionalGeneration = dispatch_model(
        model, infer_auto_device_map(model, no_split_module_classes=whole)
    )
    return spread


class InternVLJudge:
    """Judges pictures with an InternVL model; see :func:`open_internvl`.

    Args:
        model: the native model, in evaluation mode.
        prompt: its checked tokenizer and question.
        variant: view and arithmetic.
        identity: what the loader knows of the weights.
        tiles_at_once: bound of one forward, at least one picture.
    """

    def __init__(
        self,
        model: InternVLForConditionalGeneration,
        prompt: InternVLPrompt,
        variant: Variant,
        *,
        identity: Mapping[str, Any],
        tiles_at_once: int,
    ) -> None:
        self._model, self._prompt, self._variant, self._weights = model, prompt, variant, identity
        seen: Any = model.config.vision_config
        self._policy = TilePolicy(seen.image_size[0], variant.most_tiles)
        self._tiles_at_once = tiles_at_once
        self._asker = Asker(cost_at_once=tiles_at_once)

    @property
    def identity(self) -> Mapping[str, Any]:
        """Everything that a score depends on."""
        arithmetic = self._variant.arithmetic.to_json()
        return {**self._weights, **self._prompt.identity, "tiles": self._policy.to_json(), "arithmetic": arithmetic}

    def asking_no_first(self) -> InternVLJudge:
        """The same judge with "no" named before "yes" in its question; it shares this one's model."""
        other = copy.copy(self)
        other._prompt = self._prompt.asking(self._prompt.template.no_first())
        return other

    def judge(self, requests: Sequence[JudgeRequest]) -> Iterator[Judgement]:
        """One judgement per question; pictures with as many tiles as each other share a forward.

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
        return self._prompt.template.images

    def ids(self, images: Images, prompt: str) -> list[int]:
        """The whole prompt; see `Looker`."""
        each = self._model.config.image_seq_length
        return self._prompt.ids(prompt, *(tiles * each for tiles in self.size(images)[1]))

    def size(self, images: Images) -> tuple[int, tuple[int, ...]]:
        """The number of tiles, of all pictures and of each."""
        counts = tuple(self._policy.count(*image.size) for image in images)
        return sum(counts), counts

    def evidence(self, images: Images) -> dict[str, int]:
        """How closely the pictures were looked at."""
        return {"tiles": self.size(images)[0]}

    def prepare(self, images: Images) -> NDArray[np.uint8]:
        """The tiles of all pictures, one after another."""
        import numpy as np

        return np.concatenate([self._policy.cut(image) for image in images])

    @torch.inference_mode()
    def answers(self, group: Sequence[Asked], prepared: Sequence[NDArray[np.uint8]]) -> list[Answer]:
        """One look at each picture, all questions at once, logits of the last positions only."""
        forward = _forward(self._model, self._features(prepared), self._prompt.image_token_id)
        hidden = last_hidden(forward, [each.prompts for each in group])
        return read_answers(self._model.lm_head(hidden), self._prompt.answers, self._variant.arithmetic)

    def _features(self, tiles: Sequence[NDArray[np.uint8]]) -> Tensor:
        """``[all tokens of all pictures, H]``; tiles pass the vision tower so many at a time as is allowed."""
        import numpy as np

        every = np.concatenate(tiles)
        weight = self._model.model.vision_tower.embeddings.cls_token
        looked = [
            self._model.get_image_features(
                to_pixel_values(every[start : start + self._tiles_at_once], device=weight.device, dtype=weight.dtype)
            ).pooler_output
            for start in range(0, len(every), self._tiles_at_once)
        ]
        return torch.cat(looked).flatten(0, 1)


def _forward(model: InternVLForConditionalGeneration, features: Tensor, image_token_id: int) -> Forward:
    """The language model; image tokens take the pictures' features in order."""
    table: Any = model.get_input_embeddings()
    language: Any = model.model.language_model

    def forward(ids: Tensor, *, places: Tensor, seen: Tensor | None, cache: Any) -> Tensor:
        inputs: Tensor = table(ids.to(table.weight.device))
        looks = (ids == image_token_id).to(inputs.device)
        if looks.any():
            inputs = inputs.masked_scatter(looks[..., None], features.to(inputs.device, inputs.dtype))
        hidden: Tensor = language(
            inputs_embeds=inputs, attention_mask=additive(seen, inputs), position_ids=places.to(inputs.device),
            past_key_values=cache, use_cache=cache is not None,
        ).last_hidden_state  # fmt: skip
        return hidden

    return forward
