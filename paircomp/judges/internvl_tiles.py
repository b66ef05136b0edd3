"""How InternVL looks at a picture: as up to twelve tiles of its own shape, and a thumbnail.

The tiles equal those of transformers' ``GotOcr2ImageProcessorPil`` and of the published evaluator bit for bit. They are
cut here because that class takes three times as long, works in float, and mistakes pictures of 1 or 3 pixels' height
for ones with other channels. Tiles stay 8-bit until they are on the model's device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor

__all__ = ["MEAN", "STD", "TilePolicy", "to_pixel_values"]

#: ImageNet's, per channel, of values in [0, 1].
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class TilePolicy:
    """What of a picture the model sees.

    Attributes:
        side: of a tile, in pixels.
        most: tiles at most, the thumbnail not counted; 1 is the whole picture, resized to one tile.
        thumbnail: whether the whole picture follows as one more tile where there are several.
    """

    side: int = 448
    most: int = 12
    thumbnail: bool = True

    def to_json(self) -> Mapping[str, Any]:
        """For a judge's identity."""
        return asdict(self)

    def grid(self, width: int, height: int) -> tuple[int, int]:
        """Columns and rows: the grid whose shape is nearest to the picture's.

        Of grids equally near, a larger one is taken while the picture has more than half its pixels.
        """
        shape, pixels = width / height, width * height
        best, nearest = (1, 1), float("inf")
        for columns, rows in _grids(self.most):
            distance = abs(shape - columns / rows)
            if distance < nearest or (distance == nearest and pixels > 0.5 * self.side**2 * columns * rows):
                best, nearest = (columns, rows), distance
        return best

    def count(self, width: int, height: int) -> int:
        """How many tiles a picture becomes, the thumbnail included."""
        columns, rows = self.grid(width, height)
        return columns * rows + (self.thumbnail and columns * rows > 1)

    def cut(self, image: Image) -> NDArray[np.uint8]:
        """``[tiles, side, side, 3]``: the tiles row by row, then the thumbnail; an RGB picture is expected."""
        import numpy as np

        columns, rows = self.grid(*image.size)
        whole = self._resized(image, columns, rows)
        views = [
            np.asarray(whole.crop((left, top, left + self.side, top + self.side)))
            for top in range(0, rows * self.side, self.side)
            for left in range(0, columns * self.side, self.side)
        ]
        if self.thumbnail and len(views) > 1:
            views.append(np.asarray(self._resized(image, 1, 1)))
        return np.stack(views)

    def _resized(self, image: Image, columns: int, rows: int) -> Image:
        from PIL import Image as Pillow

        return image.resize((columns * self.side, rows * self.side), Pillow.Resampling.BICUBIC)


@lru_cache(maxsize=16)
def _grids(most: int) -> tuple[tuple[int, int], ...]:
    """All grids of at most so many tiles, small ones first."""
    sizes = range(1, most + 1)
    every = [(columns, rows) for columns in sizes for rows in sizes if columns * rows <= most]
    return tuple(sorted(every, key=lambda grid: grid[0] * grid[1]))


def to_pixel_values(tiles: NDArray[np.uint8], *, device: torch.device, dtype: torch.dtype) -> Tensor:
    """``[tiles, 3, side, side]`` from 8-bit ``[tiles, side, side, 3]``: scaled to [0, 1] and normalised in float32."""
    import torch

    values = torch.from_numpy(tiles).to(device).permute(0, 3, 1, 2).float().div_(255)
    mean, std = (torch.tensor(each, device=device).view(3, 1, 1) for each in (MEAN, STD))
    return values.sub_(mean).div_(std).to(dtype)
