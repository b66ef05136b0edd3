"""Fits the image tokenizer of the small Janus: transformers' ``JanusVQVAE``, encoder and decoder, on drawn scenes.

The world is made of 450 patches, so k-means would find each of them: the code of a patch is its place in
`paircomp.shapes.patches.every_patch`, and nothing has to be clustered. What is left to learn is what the classes make
of it: the encoder to say which code each patch of a picture is, the decoder to draw pictures of codes again.
"""

from __future__ import annotations

import itertools
import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from focusdiff.janus_tiny.plans import ImageTokenizerPlan, Stretch
from paircomp.shapes import Dice, sample_scene
from paircomp.shapes.patches import every_patch, split_patches
from paircomp.shapes.renderer import render_pixels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from PIL.Image import Image

    from paircomp.shapes.stamps import Pixels

__all__ = ["PatchCodes", "fit_image_tokenizer"]

_LOG = logging.getLogger(__name__)
_SHARPNESS = 16.0  # of the softmax over cosines that the encoder is trained with
_SEEDS = 2**31
#: Batches of 32 pictures that the fit is measured on: by the encoder, and of them by the decoder.
_MEASURED, _DECODED = 50, 4


class PatchCodes:
    """The code of each patch of the world."""

    def __init__(self) -> None:
        self._codes = {patch.tobytes(): code for code, patch in enumerate(every_patch())}

    def of(self, pixels: Pixels) -> list[int]:
        """The 64 codes of a drawn picture, ``[32, 32, 3]``, row by row.

        Raises:
            KeyError: a patch that no scene shows, so the picture was not drawn by the renderer.
        """
        return [self._codes[patch.tobytes()] for patch in split_patches(pixels)]

    def encode(self, pictures: Sequence[Image]) -> Tensor:
        """``[B, 64]``: what a perfect encoder would say; the fitted one errs in about one patch of seven million.

        Raises:
            KeyError: a patch that no scene shows.
        """
        return torch.tensor([self.of(np.asarray(picture)) for picture in pictures])


def fit_image_tokenizer(model: Any, plan: ImageTokenizerPlan) -> dict[str, float]:
    """Fit encoder, codebook and decoder of the model in place; all its other weights stay as they are.

    Returns:
        what the fit came to on pictures it has not seen: ``code_accuracy`` (share of patches whose code the encoder
        finds) and ``decoding_error`` (mean absolute difference of pixels, in levels of 255).
    """
    quantizer = model.model.vqmodel.train()
    _fit_encoder(quantizer, plan)
    _fit_decoder(quantizer, plan)
    quantizer.eval()
    return _measured(quantizer, plan)


def _fit_encoder(quantizer: Any, plan: ImageTokenizerPlan) -> None:
    codebook = quantizer.quantize.embedding.weight
    encoder = [*quantizer.encoder.parameters(), *quantizer.quant_conv.parameters()]
    _train([*encoder, codebook], partial(_code_loss, quantizer), plan.encoder, f"{plan.seed}/encoder")
    with torch.no_grad():  # rows of length one: transformers' own encode and ours then find the same codes
        codebook.copy_(functional.normalize(codebook, dim=-1))
    _train(encoder, partial(_code_loss, quantizer), plan.sharpen, f"{plan.seed}/encoder 1")


def _fit_decoder(quantizer: Any, plan: ImageTokenizerPlan) -> None:
    weights = [*quantizer.decoder.parameters(), *quantizer.post_quant_conv.parameters()]
    _train(weights, partial(_picture_loss, quantizer), plan.decoder, f"{plan.seed}/decoder")
    _train(weights, partial(_squared_loss, quantizer), plan.finish, f"{plan.seed}/decoder 1")


def _train(weights: list[Tensor], loss_of: Callable[[Tensor, Tensor], Tensor], stretch: Stretch, seed: str) -> None:
    optimiser = torch.optim.AdamW(weights, lr=stretch.rate, betas=(0.9, 0.99), weight_decay=0.0)
    for step, (pixels, codes) in zip(range(stretch.steps), _pictures(stretch.pictures, seed), strict=False):
        optimiser.param_groups[0]["lr"] = stretch.rate_at(step)
        loss = loss_of(pixels, codes)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        if (step + 1) % 100 == 0:
            _LOG.info("image tokenizer, %s: step %d of %d, loss %.5f", seed, step + 1, stretch.steps, loss.item())


def _pictures(count: int, seed: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches without end: pixels ``[B, 3, 32, 32]`` in [-1, 1], and their codes ``[B, 64]``."""
    dice, patch_codes = Dice(f"janus-tiny/image-tokens/{seed}"), PatchCodes()
    while True:
        drawn = [render_pixels(sample_scene(dice), dice.number(_SEEDS)) for _ in range(count)]
        pixels = torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2).float() / 127.5 - 1
        yield pixels, torch.tensor([patch_codes.of(each) for each in drawn])


def _cosines(quantizer: Any, pixels: Tensor) -> Tensor:
    """``[B, 64, V]``: cosine between each patch's latent and each code."""
    latent = functional.normalize(quantizer.quant_conv(quantizer.encoder(pixels)), dim=1)
    codebook = functional.normalize(quantizer.quantize.embedding.weight, dim=-1)
    return torch.einsum("bchw,vc->bhwv", latent, codebook).flatten(1, 2)


def _code_loss(quantizer: Any, pixels: Tensor, codes: Tensor) -> Tensor:
    return functional.cross_entropy(_SHARPNESS * _cosines(quantizer, pixels).flatten(0, 1), codes.flatten())


def _decoded(quantizer: Any, codes: Tensor) -> Tensor:
    pixels: Tensor = quantizer.decode(codes)
    return pixels


def _picture_loss(quantizer: Any, pixels: Tensor, codes: Tensor) -> Tensor:
    decoded = _decoded(quantizer, codes)
    return functional.l1_loss(decoded, pixels) + functional.mse_loss(decoded, pixels)  # the first keeps edges sharp


def _squared_loss(quantizer: Any, pixels: Tensor, codes: Tensor) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):  # around each step: it remembers weights until it is left
        decoded = _decoded(quantizer, codes)
    return functional.mse_loss(decoded.float(), pixels)


def _measured(quantizer: Any, plan: ImageTokenizerPlan) -> dict[str, float]:
    right, error = 0.0, 0.0
    batches = itertools.islice(_pictures(32, f"{plan.seed}/measured"), _MEASURED)
    with torch.no_grad():
        for number, (pixels, codes) in enumerate(batches):
            right += (_cosines(quantizer, pixels).argmax(-1) == codes).float().mean().item()
            if number < _DECODED:
                error += (_decoded(quantizer, codes).clamp(-1, 1) - pixels).abs().mean().item() * 127.5
    return {"code_accuracy": round(right / _MEASURED, 7), "decoding_error": round(error / _DECODED, 4)}
