"""The ``emu3`` generator: BAAI's Emu3-Gen through the classes of transformers, with a seed for every image.

Not yet run on the released weights; tested on tiny random models of the same classes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paircomp.errors import AdapterError, ConfigError
from paircomp.runtime.capabilities import declares
from paircomp.runtime.checkpoints import resolve_dtype, torch_dtype
from paircomp.runtime.memory import free_device_memory
from paircomp.runtime.weights import explained_load, local_folder, weights_identity, weights_within_reach
from paircomp.types import Generated, GenerationRequest
from paircomp_adapters.emu3_models import BLEMISHES, QUALITY
from paircomp_adapters.emu3_sampler import Grid, sample_tokens, uniforms_of
from paircomp_adapters.janus_sampling import Sampling

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Emu3Generator", "emu3"]

_WHO = "generator 'emu3'"
_STRIDE = 8  # pixels of a token's side
_END = 3  # end of frame, of image and of text, which the decoder expects behind the rows and ignores


@declares(requires=("torch", "transformers", "safetensors"))
def emu3(  # noqa: PLR0913 - each one an option of the command line, all keyword-only
    *,
    checkpoint: str | None = None,
    device: str = "cpu",
    dtype: str | None = None,
    revision: str | None = None,
    guidance: float = 3.0,
    temperature: float = 1.0,
    top_k: int = 2048,
    top_p: float = 1.0,
    width: int = 720,
    height: int = 720,
    suffix: str = QUALITY,
    negative_prompt: str = BLEMISHES,
) -> Emu3Generator:
    """Draws with Emu3; the defaults are those of the published demo.

    Args:
        checkpoint: a folder, or a hub id such as ``BAAI/Emu3-Gen-hf``.
        device: ``cpu``, ``cuda``, ``mps``.
        dtype: number format of the transformer; the image decoder always works in float32.
        revision: commit, tag or branch of a hub id.
        guidance: g in u + g (c - u), at least 1; 1 leaves the negative prompt unread.
        temperature: divides the guided logits; 0 takes the most likely token.
        top_k: how many of the most likely visual tokens are kept; 0 keeps all.
        top_p: smallest set of most likely tokens with this much probability is kept.
        width: pixels, a multiple of 8.
        height: pixels, a multiple of 8.
        suffix: appended to every prompt as it is.
        negative_prompt: what guidance steers away from.

    Raises:
        ConfigError: no checkpoint, or options out of range.
        UnavailableError: weights out of reach, or a package that is missing.
        AdapterError: a folder that is no Emu3, or that lacks some of its tensors.
    """
    sizes = {"width": width, "height": height}
    faults = [] if checkpoint else ["checkpoint: needed; next: --checkpoint FOLDER or BAAI/Emu3-Gen-hf"]
    faults += [
        f"{name}: expected a positive multiple of {_STRIDE}, got {pixels}"
        for name, pixels in sizes.items()
        if pixels <= 0 or pixels % _STRIDE
    ]
    try:
        sampling = Sampling(guidance, temperature, top_k, top_p)
    except ConfigError as error:
        raise ConfigError([*faults, *error.faults], where=_WHO) from error
    if faults or checkpoint is None:
        raise ConfigError(faults, where=_WHO)
    model, processor = _load(checkpoint, revision, device, dtype)
    place = local_folder(checkpoint, revision) or Path(checkpoint)  # the hub's snapshot, now that it is here
    return Emu3Generator(
        model, processor, sampling, size=(width, height), suffix=suffix, negative_prompt=negative_prompt,
        weights=weights_identity(place),
    )  # fmt: skip


def _load(checkpoint: str, revision: str | None, device: str, dtype: str | None) -> tuple[Any, Any]:
    from transformers import Emu3ForConditionalGeneration, Emu3Processor

    wanted = torch_dtype(resolve_dtype(dtype, device))
    checkpoint = weights_within_reach(_WHO, checkpoint, revision)
    with explained_load(_WHO, checkpoint):
        processor = Emu3Processor.from_pretrained(checkpoint, revision=revision or "main")
        family: Any = Emu3ForConditionalGeneration
        model, said = family.from_pretrained(
            checkpoint, revision=revision, dtype=wanted, output_loading_info=True, trust_remote_code=False
        )
    faults = [f"{kind.replace('_', ' ')}: {', '.join(sorted(map(str, said[kind]))[:5])}"
              for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") if said[kind]]  # fmt: skip
    if faults:
        raise AdapterError(f"{_WHO}: {checkpoint} is no whole Emu3: {'; '.join(faults)}; next: fetch it again")
    model.model.vqmodel.float()  # the published demo decodes in float32
    return model.to(device).eval(), processor


class Emu3Generator:
    """Draws batches of requests; see :func:`emu3`."""

    supports_seeds = True

    def __init__(
        self, model: Any, processor: Any, sampling: Sampling, *, size: tuple[int, int], suffix: str,
        negative_prompt: str, weights: str,
    ) -> None:  # fmt: skip
        import torch

        self._model = model
        self._processor = processor
        self._sampling = sampling
        self._width, self._height = size
        self._suffix = suffix
        self._negative = negative_prompt
        words = model.model.vocabulary_mapping
        visual = torch.tensor(words.image_tokens, device=model.device)
        self._grid = Grid(self._height // _STRIDE, self._width // _STRIDE, visual, words.eol_token_id)
        self.identity: Mapping[str, Any] = {
            "version": "emu3/1", "weights": weights, "dtype": str(model.dtype).removeprefix("torch."),
            "sampling": asdict(sampling), "size": list(size), "suffix": suffix, "negative_prompt": negative_prompt,
        }  # fmt: skip

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Generated]:
        """One image per request; all are drawn together, token by token."""
        import torch

        if not requests:
            return
        started = time.perf_counter()
        with torch.inference_mode():
            tokens = self._tokens(requests)
            pictures = self._decode(tokens)
        seconds = round((time.perf_counter() - started) / len(requests), 6)
        for request, picture in zip(requests, pictures, strict=True):
            sent = request.prompt + self._suffix
            yield Generated(request.key, picture, seconds=seconds, prompt_sent=sent if self._suffix else None)

    def _tokens(self, requests: Sequence[GenerationRequest]) -> Tensor:
        texts = [request.prompt + self._suffix for request in requests]
        if self._sampling.guided:
            texts += [self._negative] * len(requests)
        read = self._processor(
            text=texts, padding=True, return_tensors="pt", return_for_image_generation=True,
            ratio=f"{self._width}:{self._height}", image_area=self._width * self._height,
        ).to(self._model.device)  # fmt: skip
        uniforms = uniforms_of([request.seed for request in requests], self._grid.length)
        return sample_tokens(
            self._model, read["input_ids"], read["attention_mask"], self._grid, uniforms, self._sampling
        )

    def _decode(self, tokens: Tensor) -> list[Any]:
        import torch

        whole = torch.nn.functional.pad(tokens, (0, _END))
        decoded = self._model.decode_image_tokens(
            image_tokens=whole, height=self._grid.height, width=self._grid.width
        )  # [B, 3, height, width], normalised by the mean and deviation that the checkpoint's processor states
        shown = self._processor.postprocess(list(decoded.float().cpu()), return_tensors="PIL.Image.Image")
        return list(shown["pixel_values"])

    def close(self) -> None:
        """Free the device: nothing of the model stays referenced here."""
        self._model = self._processor = self._grid = None  # type: ignore[assignment]
        free_device_memory()
