"""Networks with a fixed number of channels, applied to images with any number."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def per_channels(images: Tensor, channels: int, network: Callable[[Tensor], Tensor]) -> Tensor:
    """Applies a network with another number of channels to each channel as a grey image.

    Args:
        images: [b, c, h, w].
        channels: channels of the network's input and output. If there are not c, the network sees every channel of an
            image as a grey image, and the mean of the result's channels is kept.
        network: [n, channels, h, w] -> [n, channels, size, size].

    Returns:
        [b, c, size, size].
    """
    if images.shape[1] == channels:
        return network(images)
    grey = images.flatten(0, 1).unsqueeze(1).expand(-1, channels, -1, -1)
    return network(grey).mean(1).unflatten(0, images.shape[:2])
