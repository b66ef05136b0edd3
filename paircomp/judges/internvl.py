"""InternVL as a judge: one look at a picture, any number of questions, one forward for a batch.

Reproduces the evaluator that PairComp was published with (InternVL2.5-26B; FocusDiff, arXiv 2506.05501, section 2.2)
from the logits of the last position alone. Which question, view and arithmetic belong to which name says
`paircomp.judges.internvl_variants`.
"""

from __future__ import annotations

import collections
import copy
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from paircomp.errors import UnavailableError
from paircomp.judges.internvl_layout import config_of, load_internvl
from paircomp.judges.internvl_prompt import CONTEXT, InternVLPrompt, SpecialTokenError
from paircomp.judges.internvl_tiles import TilePolicy, to_pixel_values
from paircomp.judges.requests import Asked, answers_to, refuse_broken, sort_out
from paircomp.judges.shared_prefix import last_hidden
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
        "weights": {"fingerprint": weights.fingerprint(), "revision": _revision_of(folder)},
        "dtype": chosen,
        "attention": str(model.config._attn_implementation),
    }
    at_once = tiles_at_once or _TILES_AT_ONCE.get(device.split(":", maxsplit=1)[0], 16)
    return InternVLJudge(_spread(model, device_map, what), prompt, variant, identity=identity, tiles_at_once=at_once)


def _revision_of(folder: Any) -> str | None:
    """The hub's cache names a snapshot's folder after its commit."""
    return str(folder.name) if folder.parent.name == "snapshots" else None


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
        self._model, self._prompt, self._variant = model, prompt, variant
        seen: Any = model.config.vision_config
        self._policy = TilePolicy(seen.image_size[0], variant.most_tiles)
        self._tiles_at_once = tiles_at_once
        self._workers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="tiles")
        self._weights = identity

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
        asked, refused = sort_out(requests, self._ids)
        yield from refused
        broken: list[str] = []
        for group, tiles in self._prepared(self._groups(asked)):
            answers = iter(self._answers(group, tiles))
            for each in group:
                yield from answers_to(each, answers, broken, evidence={"tiles": self._tiles_of(each)})
        refuse_broken(broken)

    def close(self) -> None:
        """Free the model."""
        self._workers.shutdown(cancel_futures=True)
        del self._model

    def _tiles_of(self, asked: Asked) -> int:
        return self._policy.count(*asked.image.size)

    def _ids(self, request: JudgeRequest, prompt: str) -> list[int]:
        tiles = self._policy.count(*request.images[0].size)
        try:
            return self._prompt.ids(prompt, tiles * self._model.config.image_seq_length)
        except SpecialTokenError as error:
            raise ValueError(str(error)) from error

    def _groups(self, asked: Sequence[Asked]) -> Iterator[Sequence[Asked]]:
        """Pictures of equally many tiles, so many of them as go together; the largest first."""
        by_tiles = collections.defaultdict(list)
        for each in asked:
            by_tiles[self._tiles_of(each)].append(each)
        for tiles, alike in sorted(by_tiles.items(), reverse=True):
            size = max(1, self._tiles_at_once // tiles)
            yield from (alike[start : start + size] for start in range(0, len(alike), size))

    def _prepared(
        self, groups: Iterator[Sequence[Asked]]
    ) -> Iterator[tuple[Sequence[Asked], Sequence[NDArray[np.uint8]]]]:
        """Groups with their tiles; those of the next group are cut while the model looks at this one."""
        waiting: collections.deque[tuple[Sequence[Asked], list[Future[NDArray[np.uint8]]]]] = collections.deque()
        try:
            for group in itertools.chain(groups, (None,)):
                if group is not None:
                    waiting.append((group, [self._workers.submit(self._policy.cut, each.image) for each in group]))
                if waiting and (group is None or len(waiting) > 1):
                    ready, tiles = waiting.popleft()
                    yield ready, [each.result() for each in tiles]
        finally:
            for _, tiles in waiting:
                for each in tiles:
                    each.cancel()

    @torch.inference_mode()
    def _answers(self, group: Sequence[Asked], tiles: Sequence[NDArray[np.uint8]]) -> list[Answer]:
        model = self._model.model
        embed = _embedder(self._model, self._features(tiles), self._prompt.image_token_id)
        hidden = last_hidden(model.language_model, embed, [each.prompts for each in group])
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


def _embedder(
    model: InternVLForConditionalGeneration, features: Tensor, image_token_id: int
) -> Callable[[Tensor], Tensor]:
    """Embeds ids; image tokens take the pictures' features in order."""
    table: Any = model.get_input_embeddings()

    def embed(ids: Tensor) -> Tensor:
        inputs: Tensor = table(ids.to(table.weight.device))
        looks = (ids == image_token_id).to(inputs.device)
        if looks.any():
            inputs = inputs.masked_scatter(looks[..., None], features.to(inputs.device, inputs.dtype))
        return inputs

    return embed
