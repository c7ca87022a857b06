"""The 2-D Haar wavelet transform on batches of images, with the filters and conventions of PyWavelets.

The transform is orthonormal: a coefficient of the level-L approximation is 2^L times the mean of its block. Results
equal `pywt.wavedec2(x, "haar", level=L)` for sizes divisible by 2^L.
"""

from __future__ import annotations

from functools import cache

import pywt
import torch
from torch import Tensor


@cache
def _basis() -> Tensor:
    # Rows in the order of pywt.dwt2: approximation, horizontal, vertical, diagonal. Convolution reverses the filters.
    lo, hi = (torch.tensor(f[::-1], dtype=torch.float64) for f in pywt.Wavelet("haar").filter_bank[:2])
    return torch.stack([torch.outer(row, column) for row, column in ((lo, lo), (hi, lo), (lo, hi), (hi, hi))])


def dwt2(x: Tensor) -> Tensor:
    """One level: [b, c, h, w] -> [b, 4, c, h/2, w/2], the sub-bands LL, horizontal, vertical, diagonal.

    Raises:
        ValueError: the height or width is odd.
    """
    b, c, h, w = x.shape
    if h % 2 or w % 2:
        raise ValueError(f"a Haar level needs even height and width, not {h}x{w}")
    blocks = x.reshape(b, c, h // 2, 2, w // 2, 2)
    return torch.einsum("bchiwj,kij->bkchw", blocks, _basis().to(x))


def idwt2(bands: Tensor) -> Tensor:
    """Inverse of `dwt2`: [b, 4, c, h/2, w/2] -> [b, c, h, w]."""
    b, _, c, h, w = bands.shape
    return torch.einsum("bkchw,kij->bchiwj", bands, _basis().to(bands)).reshape(b, c, 2 * h, 2 * w)


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
    image, so shifting the image shifts the coefficients. Every second coefficient of level 1 is that of `dwt2`. Results
    equal `pywt.swt2` at these positions.

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
