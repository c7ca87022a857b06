"""Sizes of the conditional generator and their checks, without torch."""

from __future__ import annotations

from dataclasses import dataclass

from dpbench.core.errors import ConfigError

UPSAMPLING = 4
"""Image size divided by the spatial size of the generator's first convolution."""


@dataclass(frozen=True)
class GeneratorConfig:
    """Sizes of a `ConditionalGenerator`.

    Attributes:
        code: dimension of the latent code.
        width: channels of the convolutions.
    """

    code: int = 10
    width: int = 16

    def check_divides(self, resolution: int) -> None:
        """Checks that images of this height and width can be generated.

        Raises:
            ConfigError: the resolution is not a multiple of `UPSAMPLING`.
        """
        if resolution % UPSAMPLING:
            raise ConfigError(f"the generator needs a resolution that is a multiple of {UPSAMPLING}, not {resolution}")
