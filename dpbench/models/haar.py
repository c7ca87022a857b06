"""The 2-D Haar wavelet transform on batches of images, with the filters and conventions of PyWavelets.

The transform is orthonormal: a coefficient of the level-L approximation is 2^L times the mean of its block. Results
equal `pywt.wavedec2(x, "haar", level=L)` for sizes divisible by 2^L.
"""

from __future__ import annotations

import torch
from torch import Tensor


def dwt2(x: Tensor) -> Tensor:
    """One level: [b, c, h, w] -> [b, 4, c, h/2, w/2], the sub-bands LL, horizontal, vertical, diagonal.

    Raises:
        ValueError: the height or width is odd.
    """
    h, w = x.shape[-2:]
    if h % 2 or w % 2:
        raise ValueError(f"a Haar level needs even height and width, not {h}x{w}")
    left, right = x[..., ::2] / 2, x[..., 1::2] / 2
    rows = [(y[..., ::2, :], y[..., 1::2, :]) for y in (left + right, left - right)]
    return torch.stack([band for above, below in rows for band in (above + below, above - below)], dim=1)


def idwt2(bands: Tensor) -> Tensor:
    """Inverse of `dwt2`: [b, 4, c, h/2, w/2] -> [b, c, h, w]."""
    sums, differences = ((low + high, low - high) for low, high in (bands[:, :2].unbind(1), bands[:, 2:].unbind(1)))
    rows = [torch.stack([s + d, s - d], dim=-1) / 2 for s, d in zip(sums, differences, strict=True)]  # above, below
    return torch.stack(rows, dim=3).flatten(4).flatten(2, 3)


def wavedec2(x: Tensor, levels: int) -> list[Tensor]:
    """[b, c, h, w] -> [LL [b, c, h/2^L, w/2^L], details of level L [b, 3, c, ...], ..., details of level 1]."""
    details = []
    for _ in range(levels):
        bands = dwt2(x)
        x = bands[:, 0]
        details.append(bands[:, 1:])
    return [x, *reversed(details)]


def waverec2(coefficients: list[Tensor]) -> Tensor:
    """Inverse of `wavedec2`."""
    x, *details = coefficients
    for detail in details:
        x = idwt2(torch.cat([x[:, None], detail], dim=1))
    return x


def wavelet_packets(x: Tensor, levels: int) -> Tensor:
    """The full packet tree, [b, c, h, w] -> [b, 4^L, c, h/2^L, w/2^L]: each level splits every sub-band again."""
    b, c = x.shape[:2]
    x = x[:, None]
    for _ in range(levels):
        packets = x.shape[1]
        x = dwt2(x.flatten(0, 1)).reshape(b, 4 * packets, c, x.shape[-2] // 2, x.shape[-1] // 2)
    return x


def stationary(x: Tensor, levels: int) -> list[Tensor]:
    """The undecimated transform without the border.

    Sub-bands are ordered as in `dwt2`, with one coefficient per position where the 2^j x 2^j filter fits into the
    image, so shifting the image shifts the coefficients. Every second coefficient of level 1 equals that of `dwt2`.
    Results equal `pywt.swt2` at these positions.

    Args:
        x: [b, c, h, w].
        levels: number of levels L.

    Returns:
        one tensor [b, c, 4, h - 2^j + 1, w - 2^j + 1] per level j = 1, ..., L.

    Raises:
        ValueError: the largest filter does not fit into the image.
    """
    h, w = x.shape[-2:]
    if min(h, w) < 2**levels:
        raise ValueError(f"{levels} Haar levels do not fit into {h}x{w}")
    banks = []
    for gap in (2**j for j in range(levels)):
        left, right = x[..., :-gap] / 2, x[..., gap:] / 2
        rows = [(y[..., :-gap, :], y[..., gap:, :]) for y in (left + right, left - right)]
        bands = [band for above, below in rows for band in (above + below, above - below)]
        banks.append(torch.stack(bands, dim=2))
        x = bands[0]
    return banks


def coarse(x: Tensor, levels: int) -> Tensor:
    """The level-L approximation in pixel units (block means): [b, c, h, w] -> [b, c, h/2^L, w/2^L]."""
    return wavedec2(x, levels)[0] / 2**levels
