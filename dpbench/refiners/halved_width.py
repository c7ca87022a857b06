"""Widths that sub-pixel convolutions can halve."""

from __future__ import annotations

from dpbench.core.errors import ConfigError


def check_width(width: int, scale: int) -> None:
    """Checks that a width can be halved each time that the sides of an image are doubled.

    Args:
        width: channels of the last layer at the coarse size.
        scale: upsampling factor of height and width, a power of two.

    Raises:
        ConfigError: it cannot.
    """
    if width % scale:
        raise ConfigError(f"width = {width} must be a multiple of {scale}, the upsampling factor")
