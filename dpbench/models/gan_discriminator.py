"""A residual discriminator with a projection of the label (Miyato and Koyama, arXiv 1802.05637)."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from dpbench.models.gan_config import GROUP, GANConfig
from dpbench.models.gan_generator import initialise


class ResNetDiscriminator(nn.Module):
    """Residual blocks with group normalisation: no layer mixes images, so per-example gradients are well defined.

    With features averaged over positions, scores start within the margin of the hinge loss. With features summed, as in
    BigGAN, the gradients at images start at about norm 1, as for a Wasserstein critic.

    Args:
        shape: (channels, height, width) of an image.
        labels: number of labels; 1 without classes.
        config: sizes of the network.

    Raises:
        ConfigError: the sizes do not fit the resolution.
    """

    def __init__(self, shape: tuple[int, int, int], labels: int, config: GANConfig):
        super().__init__()
        config.check_divides(shape[1])
        channels = config.discriminator_channels
        self.sums = config.pooling == "sum"
        self.to_patches = nn.PixelUnshuffle(config.patch)
        self.start = nn.Conv2d(shape[0] * config.patch**2, channels[0], 3, padding=1)
        self.blocks = nn.Sequential(
            *(
                DownBlock(before, after, halves=k < config.halvings)
                for k, (before, after) in enumerate(zip((channels[0], *channels), channels, strict=False))
            )
        )
        self.norm = group_norm(channels[-1])
        self.end = nn.Linear(channels[-1], 1)
        self.embedding = nn.Embedding(labels, channels[-1])
        initialise(self)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """[b, c, h, w] in [-1, 1], int64 [b] -> scores [b], high for real images of that label."""
        features = F.relu(self.norm(self.blocks(self.start(self.to_patches(images)))))
        features = features.sum((2, 3)) if self.sums else features.mean((2, 3))
        return (self.end(features)[:, 0] + (self.embedding(labels) * features).sum(1)).float()


class DownBlock(nn.Module):
    """Two convolutions, each after normalisation, and a residual connection; may halve the spatial size."""

    def __init__(self, before: int, after: int, halves: bool):
        super().__init__()
        self.first_norm, self.second_norm = group_norm(before), group_norm(after)
        self.first, self.second = nn.Conv2d(before, after, 3, padding=1), nn.Conv2d(after, after, 3, padding=1)
        self.shortcut = nn.Identity() if before == after else nn.Conv2d(before, after, 1)
        self.pool = nn.AvgPool2d(2) if halves else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """[b, before, s, s] -> [b, after, s / 2 or s, s / 2 or s]."""
        y = self.first(F.relu(self.first_norm(x)))
        y = self.second(F.relu(self.second_norm(y)))
        return self.pool(y) + self.shortcut(self.pool(x))


def group_norm(channels: int) -> nn.GroupNorm:
    """Normalisation in at most 32 groups of at least `GROUP` channels."""
    return nn.GroupNorm(math.gcd(32, channels // GROUP), channels)
