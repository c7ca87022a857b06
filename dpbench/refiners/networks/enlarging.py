"""Images of a wanted size from networks of any fixed scale, in tiles of bounded memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from dpbench.core.errors import ConfigError

Network = Callable[[Tensor], Tensor]
"""[b, c, h, w] -> [b, c, s · h, s · w] for a fixed scale s."""


def enlarge(images: Tensor, size: int, network: Network) -> Tensor:
    """Applies a network until the images are as large as wanted or larger, and resizes the result to that size.

    Args:
        images: [b, c, h, h].
        size: at least h.

    Raises:
        ConfigError: `size` is smaller than h, or the network does not enlarge images.
    """
    if images.shape[-1] > size:
        raise ConfigError(f"a refiner adds detail; it does not reduce images from {images.shape[-1]} to {size} pixels")
    while (before := images.shape[-1]) < size:
        images = network(images)
        if images.shape[-1] <= before:
            raise ConfigError(
                f"the network makes images of {images.shape[-1]} pixels from {before}; choose one that enlarges"
            )
    return resize(images, size)


def resize(images: Tensor, size: int) -> Tensor:
    """Bicubic interpolation with antialiasing: [b, c, h, h] -> [b, c, size, size]."""
    if images.shape[-1] == size:
        return images
    return interpolate(images, size=(size, size), mode="bicubic", antialias=True)


def in_tiles(images: Tensor, tile: int, overlap: int, network: Network) -> Tensor:
    """Applies a network to tiles of large images, and to a few small images at a time.

    A call processes at most (`tile` + 2 `overlap`)² pixels. The network also sees `overlap` pixels around a tile, and
    its result for these is cut off: far from the border of a tile, the result is that of the whole image.

    Args:
        images: [b, c, h, h].
        tile: side of a tile.
        overlap: pixels around it, if the image has them.
    """
    side = images.shape[-1]
    starts = range(0, side, tile)
    parts = images.split(max(1, tile**2 // side**2))
    return torch.cat([_joined(part, starts, tile, overlap, network) for part in parts])


def _joined(images: Tensor, starts: range, tile: int, overlap: int, network: Network) -> Tensor:
    rows = [[_tile(images, top, left, tile, overlap, network) for left in starts] for top in starts]
    return torch.cat([torch.cat(row, -1) for row in rows], -2)


def _tile(images: Tensor, top: int, left: int, tile: int, overlap: int, network: Network) -> Tensor:
    """The network's result for the tile at this position, which may reach the border of the image."""
    y, x = max(0, top - overlap), max(0, left - overlap)
    seen = images[..., y : top + tile + overlap, x : left + tile + overlap]
    result = network(seen)
    scale = result.shape[-1] // seen.shape[-1]
    height, width = (min(tile, images.shape[-1] - start) for start in (top, left))
    y, x = scale * (top - y), scale * (left - x)
    return result[..., y : y + scale * height, x : x + scale * width]
