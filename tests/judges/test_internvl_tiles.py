"""Tiles equal those of transformers and of the published evaluator, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import GotOcr2ImageProcessorPil

from paircomp.judges.internvl_tiles import MEAN, STD, TilePolicy, to_pixel_values


def reference(image: Image.Image, *, side: int = 448) -> torch.Tensor:
    processor = GotOcr2ImageProcessorPil(
        size={"height": side, "width": side}, image_mean=list(MEAN), image_std=list(STD), do_convert_rgb=True
    )
    seen = processor(images=[image], return_tensors="pt", crop_to_patches=True, min_patches=1, max_patches=12)
    pixels: torch.Tensor = seen["pixel_values"]
    return pixels


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("size", "tiles"),
    [((384, 384), 1), ((512, 512), 1), ((768, 768), 5), ((1024, 1024), 10), ((1024, 768), 13), ((1344, 768), 9)],
)
def test_published_sizes_become_as_many_tiles_as_they_did(size: tuple[int, int], tiles: int) -> None:
    image = noise(*size)
    policy = TilePolicy()

    cut = policy.cut(image)

    assert len(cut) == policy.count(*size) == tiles
    assert torch.equal(to_pixel_values(cut, device=torch.device("cpu"), dtype=torch.float32), reference(image))


@settings(max_examples=40)
@given(st.integers(8, 400), st.integers(8, 400))
def test_any_size_becomes_the_same_tiles(width: int, height: int) -> None:
    image = noise(width, height)

    cut = TilePolicy(side=32).cut(image)

    pixels = to_pixel_values(cut, device=torch.device("cpu"), dtype=torch.float32)
    assert torch.equal(pixels, reference(image, side=32))


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.integers(1, 12))
def test_the_number_of_tiles_is_bounded(width: int, height: int, most: int) -> None:
    columns, rows = TilePolicy(most=most).grid(width, height)

    assert 1 <= columns * rows <= most
    assert TilePolicy(most=most).count(width, height) <= most + 1


def test_one_tile_at_most_is_the_whole_picture_resized() -> None:
    image = noise(900, 300)

    cut = TilePolicy(most=1).cut(image)

    assert cut.shape == (1, 448, 448, 3)
    assert np.array_equal(cut[0], np.asarray(image.resize((448, 448), Image.Resampling.BICUBIC)))
