"""The U-Net of the diffusion models with a vector instead of a label."""

from __future__ import annotations

from torch import nn

from dpbench.models.unet import UNet
from dpbench.models.unet_config import UNetConfig


class EmbeddingUNet(UNet):
    """F(x, noise level, embedding): two layers turn an embedding, float [b, size], into the label vector.

    Args:
        shape: (channels, height, width) of an image.
        size: size of an embedding.
        config: sizes of the network.

    Raises:
        ConfigError: the sizes do not divide the image.
    """

    def __init__(self, shape: tuple[int, int, int], size: int, config: UNetConfig):
        super().__init__(shape, 1, config)
        width = self.unet.time_embedding.linear_2.out_features
        self.unet.class_embedding = nn.Sequential(nn.Linear(size, width), nn.SiLU(), nn.Linear(width, width))
