"""Haar wavelet packets as features; they need no weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dpbench.core.errors import MissingScore
from dpbench.core.metric import Evaluation, Extractor

if TYPE_CHECKING:
    from torch import Tensor


def packet_level(resolution: int) -> int:
    """Depth of the packet tree: the largest with even halving and packets of at least 7 x 7; at most 4, as published.

    28 -> 2 (7 x 7 packets), 32 -> 2 (8 x 8), 64 -> 3 (8 x 8), 128 -> 4 (8 x 8), 256 -> 4 (16 x 16, as published).
    """
    level = 0
    while level < 4 and resolution % 2 ** (level + 1) == 0 and resolution >> (level + 1) >= 7:
        level += 1
    return level


class WaveletPackets(Extractor):
    """Haar wavelet packets in natural order.

    Packets of images in [0, 1]: float32 [b, 4^L, c · (h/2^L)²], L = `packet_level`.

    The transform is orthonormal, so the packets of a sub-band are together a rotation of it. They are contiguous:
    packets k·4^(L-1) ... (k+1)·4^(L-1) - 1 belong to sub-band k of level 1. Fréchet distances do not change under
    rotations, so the distance of every sub-band of every level can be computed from this array.

    Raises:
        MissingScore: the resolution is odd or below 14.
    """

    def __init__(self, evaluation: Evaluation):
        super().__init__(evaluation)
        self.level = packet_level(self.spec.resolution)
        if self.level == 0:
            raise MissingScore(f"wavelet packets need an even resolution of at least 14, not {self.spec.resolution}")
        self.description = f"haar packets level {self.level}, [0, 1]"

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 [b, c, h, w] -> float32 [b, 4^L, c · (h/2^L)²]."""
        from dpbench.models.haar import wavelet_packets

        return wavelet_packets(images.float() / 255, self.level).flatten(2)
