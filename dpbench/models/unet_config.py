"""Sizes of the diffusion models' U-Net and their checks, without torch."""

from __future__ import annotations

from dataclasses import dataclass

from dpbench.core.errors import ConfigError

HEAD = 8
"""Channels of one attention head."""


@dataclass(frozen=True)
class UNetConfig:
    """Sizes of a `UNet`.

    Attributes:
        channels: channels of each level, finest first; multiples of 8. Each level halves the spatial size.
        layers: residual blocks per level in the encoder; the decoder has one more.
        attention: number of coarsest levels with self-attention.
        patch: side of the pixel patches folded into the channels of the finest level; 1 for single pixels.
        checkpointing: gradient checkpointing: recompute activations in the backward pass. Saves memory and takes about
            a third more time.

    Raises:
        ConfigError: the sizes are invalid.
    """

    channels: tuple[int, ...] = (32, 64)
    layers: int = 1
    attention: int = 1
    patch: int = 1
    checkpointing: bool = False

    def __post_init__(self) -> None:
        levels = len(self.channels)
        if not self.channels or any(c <= 0 or c % HEAD for c in self.channels):
            raise ConfigError(f"channels must be positive multiples of {HEAD}, not {self.channels}")
        if self.patch < 1 or self.layers < 1 or not 0 <= self.attention <= levels:
            raise ConfigError(f"patch and layers must be at least 1, attention between 0 and the {levels} levels")

    @property
    def divisor(self) -> int:
        """The height and width of an image must be multiples of this number."""
        return self.patch * 2 ** (len(self.channels) - 1)

    def check_divides(self, resolution: int) -> None:
        """Checks that the network supports images of this height and width.

        Raises:
            ConfigError: the resolution is not a multiple of `divisor`.
        """
        if resolution % self.divisor:
            raise ConfigError(
                f"patch {self.patch} and {len(self.channels)} levels do not divide {resolution} pixels; choose a "
                f"resolution that is a multiple of {self.divisor}, or set a smaller patch or fewer channels"
            )
