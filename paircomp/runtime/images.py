"""Reading pictures of any origin and bringing them to the one form that judges see: 8-bit RGB."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from paircomp.runtime.reasons import reason_of

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["MAX_PIXELS", "UnreadableImageError", "png_bytes", "read_rgb", "to_rgb"]

#: Larger pictures are refused before they are decoded: 20,000 x 20,000 would take 1.2 GB.
MAX_PIXELS = 100_000_000


class UnreadableImageError(ValueError):
    """A picture that cannot be shown to a judge; the message is the reason that is recorded."""


def to_rgb(image: Image) -> Image:
    """An 8-bit RGB copy; transparent pixels are laid on white, 16-bit and float grey values are scaled to 8 bits.

    Raises:
        UnreadableImageError: the picture has no pixels, or is none of Pillow's.
    """
    from PIL import Image as Pillow

    if not isinstance(image, Pillow.Image):
        said = f"expected a PIL.Image.Image, got {type(image).__module__}.{type(image).__qualname__}"
        raise UnreadableImageError(f"{said}; next: PIL.Image.fromarray(pixels), 8 bits a channel")
    if 0 in image.size:
        raise UnreadableImageError(f"image has no pixels ({image.width}x{image.height})")
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _deep_grey(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Pillow.new("RGBA", layer.size, (255, 255, 255, 255))
        return Pillow.alpha_composite(white, layer).convert("RGB")
    return image.convert("RGB")


def _deep_grey(image: Image) -> Image:
    """16-bit or float grey to 8-bit RGB; Pillow's own convert would clip instead of scaling."""
    import numpy as np
    from PIL import Image as Pillow

    values = np.asarray(image, dtype=np.float64)
    if not np.isfinite(values).all():
        raise UnreadableImageError("image holds values that are not finite")
    top = 1.0 if image.mode == "F" and values.max() <= 1.0 else (65535.0 if values.max() > 255 else 255.0)
    grey = np.clip(np.rint(values / top * 255.0), 0, 255).astype(np.uint8)
    return Pillow.fromarray(grey).convert("RGB")


def read_rgb(content: bytes) -> Image:
    """Decode a picture file.

    Args:
        content: the whole file.

    Raises:
        UnreadableImageError: empty, damaged, of an unknown format or larger than :data:`MAX_PIXELS`.
    """
    import warnings

    from PIL import Image as Pillow
    from PIL import UnidentifiedImageError

    if not content:
        raise UnreadableImageError("file is empty")
    try:
        with warnings.catch_warnings():
            # Our own limit below is stricter than Pillow's warning of large ones, and faults of the data beside the
            # pixels, of which it warns too, do not matter.
            warnings.simplefilter("ignore")
            image = Pillow.open(io.BytesIO(content))
            if image.width * image.height > MAX_PIXELS:
                raise UnreadableImageError(f"image of {image.width}x{image.height} pixels is {_over_the_limit()}")
            image.load()
            return to_rgb(image)
    except UnreadableImageError:
        raise
    except UnidentifiedImageError as error:
        raise UnreadableImageError("not an image file") from error
    except Pillow.DecompressionBombError as error:
        raise UnreadableImageError(f"image is {_over_the_limit()}") from error
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise UnreadableImageError(f"not a readable image ({reason_of(error)})") from error


def png_bytes(image: Image) -> bytes:
    """The picture as a PNG file: lossless, fast compression, the same bytes for the same pixels."""
    stream = io.BytesIO()
    to_rgb(image).save(stream, format="PNG", compress_level=1)
    return stream.getvalue()


def _over_the_limit() -> str:
    return f"over the limit of {MAX_PIXELS:,} pixels"
