"""Pictures to image tokens and back, by the image tokenizer of a Janus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from paircomp.runtime.images import to_rgb

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

__all__ = ["decode_tokens", "encode_pictures", "picture_tensor"]


def decode_tokens(model: Any, tokens: Tensor, *, at_once: int = 16) -> Iterator[Image]:
    """Pictures of image tokens, as the published code makes them: scaled to [0, 255], clipped, cut to whole numbers.

    Args:
        model: transformers' Janus.
        tokens: ``[B, L]``.
        at_once: pictures decoded together; one by one, a picture's pixels are the same in every batch to the bit.
    """
    import torch
    from PIL import Image as Pillow

    for start in range(0, len(tokens), at_once):
        with torch.no_grad():
            pixels = model.decode_image_tokens(
                tokens[start : start + at_once]
            ).float()  # [b, height, width, 3], about -1 to 1
        levels = ((pixels + 1) / 2 * 255).clamp(0, 255).to(torch.uint8).cpu().numpy()
        yield from (Pillow.fromarray(picture) for picture in levels)


def picture_tensor(pictures: Sequence[Image], side: int) -> Tensor:
    """``[B, 3, side, side]`` in [-1, 1]: the largest centred square of each picture, scaled (bicubic, antialiased)."""
    import numpy as np
    import torch
    from PIL import Image as Pillow
    from PIL import ImageOps

    squares = [ImageOps.fit(to_rgb(picture), (side, side), method=Pillow.Resampling.BICUBIC) for picture in pictures]
    levels = torch.from_numpy(np.stack([np.asarray(square) for square in squares]))
    return levels.permute(0, 3, 1, 2).float() / 127.5 - 1


def encode_pictures(model: Any, pictures: Sequence[Image], *, at_once: int = 16) -> Tensor:
    """``[B, L]`` image tokens of pictures.

    Codes are searched among unit vectors, as the model was trained; transformers' own ``encode`` leaves both sides
    as they are and finds other codes wherever the stored rows are not of length one.
    """
    import torch
    from torch.nn import functional

    quantizer = model.model.vqmodel
    weight = quantizer.quant_conv.weight
    pixels = picture_tensor(pictures, model.config.vision_config.image_size)
    found = []
    with torch.no_grad():
        codebook = functional.normalize(quantizer.quantize.embedding.weight.float(), dim=-1)  # [V, code size]
        for start in range(0, len(pixels), at_once):
            part = pixels[start : start + at_once].to(weight.device, weight.dtype)
            latent = quantizer.quant_conv(quantizer.encoder(part))
            latent = functional.normalize(latent.float(), dim=1)  # [b, code size, h, w]
            # Between unit vectors the nearest is the one of largest product.
            found.append(torch.einsum("bchw,vc->bhwv", latent, codebook).argmax(-1).flatten(1))
    return torch.cat(found)
