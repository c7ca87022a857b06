"""Sizes of the scales of a Haar transform and of their token grids (SIT, arXiv 2412.09607).

An L-level transform has L + 1 scales: the approximation LL, then the details of level L, ..., 1. Every scale is divided
into the same number N of patches. Finer scales have larger patches, and the tokens at one grid position cover the same
part of the image at every scale.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dpbench.core.errors import ConfigError


@dataclass(frozen=True)
class Scale:
    """One scale of an image.

    Attributes:
        side: height and width of its sub-bands, in coefficients.
        channels: total channels of its sub-bands.
        patch: height and width of a token's patch, in coefficients.
    """

    side: int
    channels: int
    patch: int

    @property
    def size(self) -> int:
        """Coefficients in a patch."""
        return self.channels * self.patch**2


@dataclass(frozen=True)
class Scales:
    """The scales of square images.

    Args:
        channels: image channels.
        resolution: height and width of the images, in pixels.
        levels: number of Haar levels L, at least 1.
        patch: side of a patch of the LL band; N = (resolution / 2^L / patch)².

    Raises:
        ConfigError: the levels or patches do not divide the image.
    """

    channels: int
    resolution: int
    levels: int
    patch: int

    def __post_init__(self) -> None:
        if self.resolution % 2**self.levels:
            raise ConfigError(
                f"{self.levels} Haar levels do not divide {self.resolution} pixels; "
                f"choose a resolution that is a multiple of {2**self.levels}, or set fewer levels"
            )
        if (self.resolution >> self.levels) % self.patch:
            side = self.resolution >> self.levels
            raise ConfigError(f"patches of {self.patch} do not divide the coarse band of {side}x{side}")

    @property
    def grid(self) -> int:
        """Patches per side."""
        return (self.resolution >> self.levels) // self.patch

    @property
    def tokens(self) -> int:
        """Tokens per scale, N."""
        return self.grid**2

    def __len__(self) -> int:
        return self.levels + 1

    def __getitem__(self, index: int) -> Scale:
        """The scale with this index, from 0 (LL) to L (the finest details)."""
        side = self.resolution >> min(self.levels, self.levels + 1 - index)
        return Scale(side, self.channels * (3 if index else 1), side // self.grid)

    def __iter__(self) -> Iterator[Scale]:
        return map(self.__getitem__, range(len(self)))

    def side(self, count: int) -> int:
        """Height and width of the image reconstructed from the first `count` scales."""
        return self.resolution >> (self.levels + 1 - count)
