"""The ``diffusers`` generator: every text-to-image pipeline of diffusers, from a folder or the hub.

Three rules hold for all of them. The prompt list is expanded, one entry per image: ``num_images_per_prompt`` pairs
prompts with the wrong masks in some pipelines. Every image has a generator of its own on the CPU, so that its noise
depends on its seed alone. And what the picture depends on is on record: the recipe, the pipeline's own defaults, the
weights.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from paircomp.errors import ConfigError, GenerationError
from paircomp.runtime.capabilities import declares
from paircomp.runtime.memory import free_device_memory
from paircomp.runtime.weights import weights_identity
from paircomp.types import Generated, GenerationRequest
from paircomp_adapters.diffusion_call import CallPlan, plan_call
from paircomp_adapters.diffusion_loading import DeviceMap, Offload, Placement, load_pipeline, pipeline_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["DiffusersGenerator", "diffusers_pipeline"]


# The same arithmetic from another place: what waits where changes no picture.
@declares(requires=("torch", "diffusers", "transformers"), incidental=("offload", "device_map", "vae_slicing"))
def diffusers_pipeline(  # noqa: PLR0913 - each one an option of the command line, all keyword-only
    *,
    checkpoint: str | None = None,
    device: str = "cpu",
    dtype: str | None = None,
    revision: str | None = None,
    variant: str | None = None,
    without: list[str] | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    width: int | None = None,
    height: int | None = None,
    max_sequence_length: int | None = None,
    negative_prompt: str | None = None,
    clean_caption: bool | None = None,
    resolution_binning: bool | None = None,
    instruction: str | None = None,
    call: dict[str, Any] | None = None,
    offload: Offload = "none",
    device_map: DeviceMap | None = None,
    vae_tiling: bool = False,
    vae_slicing: bool = False,
    remote_code: bool = False,
) -> DiffusersGenerator:
    """Draws with any text-to-image pipeline of diffusers.

    An option left out is the pipeline's own default; what that was is part of the run's identity. Options that a
    pipeline has no use for are named in a warning and in the identity.

    Args:
        checkpoint: a folder in diffusers' layout, or a hub id.
        device: ``cpu``, ``cuda``, ``mps``.
        dtype: number format of the weights; default bfloat16 on an accelerator, float32 on the CPU.
        revision: commit, tag or branch of a hub id.
        variant: which files of a checkpoint that holds several, for instance ``fp16``.
        without: parts to leave out, for instance ``["text_encoder_3", "tokenizer_3"]`` to spare SD3 its T5.
        steps: denoising steps.
        guidance: guidance scale.
        width: pixels.
        height: pixels.
        max_sequence_length: tokens of the prompt that the T5 or Gemma encoder sees.
        negative_prompt: what to steer away from.
        clean_caption: whether the prompt is stripped of links, tags and the like (PixArt, Sana).
        resolution_binning: whether sizes are rounded to the nearest the model was trained on (PixArt, Sana).
        instruction: the text that Sana puts before the prompt: ``none``, a text, or ``sha256:...`` for the pipeline's
            own, which must then have that digest.
        call: further arguments of the pipeline's call by its own names, for instance ``{"true_cfg_scale": 4}``.
        offload: what waits in main memory until its turn: ``model``, ``sequential`` or ``group``.
        device_map: ``balanced`` spreads the models over all accelerators.
        vae_tiling: decode in tiles, for large pictures and small devices.
        vae_slicing: decode one image at a time.
        remote_code: run the code that the checkpoint brings, where it brings any. The run remembers it, and a
            leaderboard says so beside the row.

    Raises:
        ConfigError: no checkpoint, or options that do not fit.
        UnavailableError: a licence to accept, weights out of reach, a package or an accelerator that is missing.
        AdapterError: a folder that is no pipeline.
    """
    if checkpoint is None:
        raise ConfigError(["checkpoint: needed; next: --checkpoint FOLDER or a hub id such as "
                           "PixArt-alpha/PixArt-XL-2-1024-MS"], where="generator 'diffusers'")  # fmt: skip
    placement = Placement(device, dtype, offload, device_map, vae_tiling, vae_slicing)
    pipeline = load_pipeline(
        checkpoint, placement, revision=revision, variant=variant, without=without or (), remote_code=remote_code
    )
    plan = plan_call(
        pipeline.__call__,
        {
            "steps": steps, "guidance": guidance, "width": width, "height": height,
            "max_sequence_length": max_sequence_length, "negative_prompt": negative_prompt,
            "clean_caption": clean_caption, "resolution_binning": resolution_binning, "instruction": instruction,
        },
        call or {},
        who=type(pipeline).__name__,
    )  # fmt: skip
    return DiffusersGenerator(pipeline, plan, weights=weights_identity(pipeline_folder(pipeline, checkpoint)))


class DiffusersGenerator:
    """Draws a batch of requests with one call of a loaded pipeline; see :func:`diffusers_pipeline`.

    Args:
        pipeline: loaded and placed.
        plan: what every call is given.
        weights: what tells the weights from others, for the run's identity.
    """

    supports_seeds = True

    def __init__(self, pipeline: Any, plan: CallPlan, *, weights: str) -> None:
        self._pipeline = pipeline
        self._plan = plan
        drawing = getattr(pipeline, "transformer", None) or getattr(pipeline, "unet", None)
        self.identity: Mapping[str, Any] = {
            "pipeline": type(pipeline).__name__,
            "scheduler": type(getattr(pipeline, "scheduler", None)).__name__,
            "dtype": str(getattr(drawing, "dtype", pipeline.dtype)).removeprefix("torch."),
            "weights": weights,
            "call": dict(plan.recorded),
            "ignored": list(plan.ignored),
        }
        if plan.ignored:
            warnings.warn(f"{type(pipeline).__name__} has no use for {', '.join(plan.ignored)}: ignored", stacklevel=2)

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Generated]:
        """One image per request, all in one call of the pipeline."""
        if not requests:
            return
        started = time.perf_counter()
        pictures, flagged = self._draw(requests)
        seconds = round((time.perf_counter() - started) / len(requests), 6)
        sent = self._prompts_sent([request.prompt for request in requests])
        for request, picture, refused, prompt in zip(requests, pictures, flagged, sent, strict=True):
            reason = "refused: the pipeline's safety checker" if refused else _fault(picture)
            yield Generated(
                request.key, None if reason else _to_image(picture), unscored=reason, seconds=seconds,
                prompt_sent=prompt if prompt != request.prompt else None,
            )  # fmt: skip

    def _draw(self, requests: Sequence[GenerationRequest]) -> tuple[NDArray[np.float32], list[bool]]:
        """Pictures ``[B, height, width, 3]`` in [0, 1], and which of them a safety checker has blackened."""
        import torch

        negative = self._plan.negative_prompt
        further = {} if negative is None else {"negative_prompt": [negative] * len(requests)}
        with torch.inference_mode():
            answer = self._pipeline(
                prompt=[request.prompt for request in requests],
                generator=[torch.Generator("cpu").manual_seed(request.seed) for request in requests],
                output_type="np", **self._plan.arguments, **further,
            )  # fmt: skip
        pictures = getattr(answer, "images", None)
        if pictures is None or len(pictures) != len(requests):
            raise GenerationError(
                f"generator 'diffusers': {type(self._pipeline).__name__} drew "
                f"{'no images' if pictures is None else len(pictures)} for {len(requests)} prompts; "
                "expected a text-to-image pipeline"
            )
        flagged = getattr(answer, "nsfw_content_detected", None) or [False] * len(requests)
        return pictures, [bool(flag) for flag in flagged]

    def _prompts_sent(self, prompts: list[str]) -> list[str]:
        """What the text encoder was given, where the pipeline rewrites prompts (PixArt and Sana lower the case)."""
        rewrite = getattr(self._pipeline, "_text_preprocessing", None)
        if rewrite is None:
            return prompts
        return list(rewrite(prompts, clean_caption=self._plan.recorded.get("clean_caption", False)))

    def close(self) -> None:
        """Free the device: nothing of the pipeline stays referenced here."""
        self._pipeline = None
        free_device_memory()


def _fault(picture: NDArray[np.float32]) -> str | None:
    """Numbers that are not finite would turn black without a word: float16 that overflowed."""
    import numpy as np

    if np.isfinite(picture).all():
        return None
    return "broken: the picture holds values that are not finite; next: --dtype bfloat16 or float32"


def _to_image(picture: NDArray[np.float32]) -> Any:
    import numpy as np
    from PIL import Image

    return Image.fromarray((picture * 255).round().astype(np.uint8))
