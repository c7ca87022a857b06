"""Sizes of a GAN's networks and their checks, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dpbench.core.errors import ConfigError

GROUP = 4
"""Channels of one group of the discriminator's group normalisation."""


@dataclass(frozen=True)
class GANConfig:
    """Sizes of a `ResNetGenerator` and a `ResNetDiscriminator`.

    Attributes:
        code: dimension of the latent code.
        embedding: dimension of the generator's label embedding.
        generator_channels: channels of the generator's blocks, coarsest first. Each block doubles the spatial size.
        discriminator_channels: channels of the discriminator's blocks, finest first; multiples of `GROUP`.
        pooling: how the discriminator pools features over positions.
        halvings: number of the discriminator's first blocks that halve the spatial size.
        patch: side of the pixel patches folded into the channels of the finest level; 1 for single pixels.
        attention: whether the generator has self-attention after its second block.
        spectral_norm: whether the generator's layers are divided by their spectral norm.

    Raises:
        ConfigError: the sizes are invalid.
    """

    code: int
    embedding: int
    generator_channels: tuple[int, ...]
    discriminator_channels: tuple[int, ...]
    pooling: Literal["mean", "sum"]
    halvings: int
    patch: int
    attention: bool
    spectral_norm: bool

    def __post_init__(self) -> None:
        blocks = len(self.discriminator_channels)
        if not self.generator_channels:
            raise ConfigError("generator_channels needs at least one block, e.g. (64,)")
        if not blocks or any(c % GROUP for c in self.discriminator_channels):
            raise ConfigError(
                f"discriminator_channels must be multiples of {GROUP}, not {self.discriminator_channels or 'none'}"
            )
        if self.halvings > blocks:
            raise ConfigError(f"halvings must be at most the {blocks} blocks of the discriminator, not {self.halvings}")
        if self.attention and len(self.generator_channels) < 2:
            raise ConfigError("attention needs a generator of at least two blocks; set more generator_channels")

    @property
    def divisor(self) -> int:
        """The height and width of an image must be multiples of this number."""
        return self.patch * 2 ** max(len(self.generator_channels), self.halvings)

    def check_divides(self, resolution: int) -> None:
        """Checks that the networks support images of this height and width.

        Raises:
            ConfigError: the resolution is not a multiple of `divisor`.
        """
        if resolution % self.divisor:
            raise ConfigError(
                f"the GAN needs a resolution that is a multiple of {self.divisor}, not {resolution}; set a smaller "
                "patch, fewer generator_channels or fewer halvings"
            )
