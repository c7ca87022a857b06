"""Conversion between images and patches of their Haar coefficients, one grid of patches per scale.

The orientations of a scale are stacked as channels.
"""

from __future__ import annotations

from torch import Tensor

from dpbench.methods.wavelet.scale_sizes import Scale, Scales
from dpbench.models.haar import wavedec2, waverec2


def split(scales: Scales, images: Tensor, count: int) -> list[Tensor]:
    """The patches of the first `count` scales of images.

    Args:
        scales: sizes of the scales and patches.
        images: [b, c, resolution, resolution].
        count: number of scales, from 1 to L + 1.

    Returns:
        one tensor of orthonormal Haar coefficients [b, N, size] per scale, patches in raster order.
    """
    bands = wavedec2(images, scales.levels)[:count]
    return [_patches(band.flatten(1, -3), scales[s], scales.grid) for s, band in enumerate(bands)]


def join(scales: Scales, patches: list[Tensor]) -> Tensor:
    """Inverse of `split`: the image reconstructed from the first scales, [b, c, side, side], in pixel units."""
    bands = [_band(p, scales[s], scales.grid) for s, p in enumerate(patches)]
    details = [band.unflatten(1, (3, scales.channels)) for band in bands[1:]]
    return waverec2([bands[0], *details]) / 2 ** (scales.levels + 1 - len(patches))


def _patches(band: Tensor, scale: Scale, grid: int) -> Tensor:
    cut = band.reshape(len(band), scale.channels, grid, scale.patch, grid, scale.patch)
    return cut.permute(0, 2, 4, 1, 3, 5).reshape(len(band), grid * grid, scale.size)


def _band(patches: Tensor, scale: Scale, grid: int) -> Tensor:
    cut = patches.reshape(len(patches), grid, grid, scale.channels, scale.patch, scale.patch)
    return cut.permute(0, 3, 1, 4, 2, 5).reshape(len(patches), scale.channels, scale.side, scale.side)
