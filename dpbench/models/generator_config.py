"""Sizes of the conditional generator, checked without building it."""

from __future__ import annotations

from dataclasses import dataclass

from dpbench.core.errors import ConfigError

UPSAMPLING = 4
"""How many times larger an image is than the generator's first convolution."""


@dataclass(frozen=True)
class GeneratorConfig:
    """Sizes of a `ConditionalGenerator`.

    Attributes:
        code: size of the random code.
        width: channels at a quarter of the resolution.
    """

    code: int = 10
    width: int = 16

    def check_divides(self, resolution: int) -> None:
        """Raises `ConfigError` where images of this height and width cannot be generated."""
        if resolution % UPSAMPLING:
            raise ConfigError(f"the generator needs a resolution that is a multiple of {UPSAMPLING}, not {resolution}")
