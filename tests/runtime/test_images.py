"""Pictures of any origin become 8-bit RGB, or a reason why not."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from paircomp.runtime import images
from paircomp.runtime.images import UnreadableImageError, png_bytes, read_rgb, to_rgb
from paircomp.runtime.reasons import reason_of


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


RED = (200, 10, 20)


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (Image.new("RGB", (4, 3), RED), "PNG"),
        (Image.new("RGBA", (4, 3), (*RED, 255)), "PNG"),
        (Image.new("RGB", (4, 3), RED).quantize(4), "PNG"),
        (Image.new("RGB", (4, 3), RED), "BMP"),
    ],
)
def test_colour_survives(image: Image.Image, kind: str) -> None:
    read = read_rgb(encoded(image, kind))
    assert read.mode == "RGB"
    assert read.getpixel((1, 1)) == RED


def test_cmyk_and_grey_become_rgb() -> None:
    cmyk = read_rgb(encoded(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "TIFF"))
    assert cmyk.getpixel((0, 0)) == (255, 0, 0)
    grey = read_rgb(encoded(Image.new("L", (4, 4), 77)))
    assert grey.getpixel((0, 0)) == (77, 77, 77)


def test_transparent_pixels_are_laid_on_white() -> None:
    half = Image.new("RGBA", (2, 2), (0, 0, 0, 0))
    assert read_rgb(encoded(half)).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_colour_that_stands_for_transparent_is_laid_on_white_too(mode: str) -> None:
    black: Any = (0, 0, 0) if mode == "RGB" else 0
    file = io.BytesIO()
    Image.new(mode, (2, 2), black).save(file, format="PNG", transparency=black)
    assert read_rgb(file.getvalue()).getpixel((0, 0)) == (255, 255, 255)


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    deep = Image.fromarray(np.full((2, 2), 32768, np.uint16))
    assert to_rgb(deep).getpixel((0, 0)) == (128, 128, 128)


def test_float_grey_in_the_unit_range_is_scaled() -> None:
    assert to_rgb(Image.fromarray(np.full((2, 2), 0.5, np.float32))).getpixel((0, 0)) == (128, 128, 128)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"not a picture", "^not an image file$"),
        (encoded(Image.new("RGB", (64, 64), RED))[:60], "not a readable image"),
    ],
)
def test_damaged_files_are_named(content: bytes, reason: str) -> None:
    with pytest.raises(UnreadableImageError, match=reason):
        read_rgb(content)


def test_reasons_hold_no_addresses() -> None:
    stream = io.BytesIO()
    assert reason_of(OSError(f"cannot read\n{stream!r}")) == "cannot read <_io.BytesIO object>"
    assert reason_of(KeyError()) == "KeyError"


def test_huge_pictures_are_refused_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", 100)
    with pytest.raises(UnreadableImageError, match=r"20x20 pixels is over the limit of 100"):
        read_rgb(encoded(Image.new("L", (20, 20))))


def test_a_decompression_bomb_is_refused() -> None:
    huge = encoded(Image.new("1", (30_000, 30_000)))
    with pytest.raises(UnreadableImageError, match=r"^image is over the limit of 100,000,000 pixels$"):
        read_rgb(huge)


def test_png_bytes_are_the_same_for_the_same_pixels() -> None:
    assert png_bytes(Image.new("RGB", (8, 8), RED)) == png_bytes(Image.new("RGBA", (8, 8), (*RED, 255)))


def test_images_without_pixels_are_refused() -> None:
    with pytest.raises(UnreadableImageError, match="no pixels"):
        to_rgb(Image.new("RGB", (0, 4)))
