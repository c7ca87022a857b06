"""Haar wavelet packets as features; they need no weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dpbench.core.errors import MissingScore
from dpbench.core.metric import Evaluation, Extractor

if TYPE_CHECKING:
    from torch import Tensor


SMALLEST, LARGEST = 7, 32
"""Height and width of a packet: a Gaussian of larger ones would have too many dimensions."""
PUBLISHED_LEVEL, PUBLISHED_SIZE = 4, 16


def packet_level(resolution: int) -> int:
    """Depth of the packet tree: even halving, packets of at least 7 x 7, at most 4 levels as published.

    Packets above the published 16 x 16 are halved further where possible. 28 -> 2 (7 x 7 packets), 32 -> 2 (8 x 8), 64
    -> 3 (8 x 8), 128 -> 4 (8 x 8), 256 -> 4 (16 x 16, as published), 512 -> 5 (16 x 16), 1024 -> 6 (16 x 16).
    """
    level, size = 0, resolution
    while size % 2 == 0 and size // 2 >= SMALLEST and (level < PUBLISHED_LEVEL or size > PUBLISHED_SIZE):
        level, size = level + 1, size // 2
    return level


class WaveletPackets(Extractor):
    """Haar wavelet packets in natural order.

    Packets of images in [0, 1]: float32 [b, 4^L, c · (h/2^L)²], L = `packet_level`.

    The transform is orthonormal, so the packets of a sub-band are together a rotation of it. They are contiguous:
    packets k·4^(L-1) ... (k+1)·4^(L-1) - 1 belong to sub-band k of level 1. Fréchet distances do not change under
    rotations, so the distance of every sub-band of every level can be computed from this array.

    Raises:
        MissingScore: the resolution is odd or below 14, or cannot be halved until packets have at most 32 x 32 pixels.
    """

    def __init__(self, evaluation: Evaluation):
        super().__init__(evaluation)
        resolution = self.spec.resolution
        self.level = packet_level(resolution)
        if self.level == 0 or resolution >> self.level > LARGEST:
            levels = max(1, math.ceil(math.log2(resolution / LARGEST)))
            least = "" if resolution >= 2 * SMALLEST else f" and at least {2 * SMALLEST}"
            raise MissingScore(f"wavelet packets need a resolution divisible by {2**levels}{least}, not {resolution}")
        self.description = f"haar packets level {self.level}, [0, 1]"

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 [b, c, h, w] -> float32 [b, 4^L, c · (h/2^L)²]."""
        from dpbench.models.haar import wavelet_packets

        return wavelet_packets(images.float() / 255, self.level).flatten(2)
