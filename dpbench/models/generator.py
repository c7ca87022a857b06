"""A small class-conditional convolutional generator: latent code and label -> image (DP-MERF, arXiv 2002.11603)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dpbench.models.generator_config import UPSAMPLING, GeneratorConfig


class ConditionalGenerator(nn.Module):
    """Two fully connected layers, then two up-sampling convolutions.

    Batch normalisation is safe here: the generator is never evaluated on private records.

    Args:
        channels: image channels.
        resolution: height and width of the image; a multiple of 4.
        classes: number of labels; 1 without classes.
        config: sizes of the network.

    Raises:
        ConfigError: the sizes do not fit the resolution.
    """

    def __init__(self, channels: int, resolution: int, classes: int, config: GeneratorConfig):
        super().__init__()
        config.check_divides(resolution)
        code, width, self.side = config.code, config.width, resolution // UPSAMPLING
        self.classes, self.code, self.width = classes, code, width
        cells = width * self.side**2
        self.body = nn.Sequential(
            nn.Linear(code + classes, 256), nn.BatchNorm1d(256), nn.ReLU(),
            nn.Linear(256, cells), nn.BatchNorm1d(cells), nn.ReLU(),
        )  # fmt: skip
        self.up = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(width, width, 5, padding=2), nn.ReLU(),
            nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(width, channels, 5, padding=2), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, labels: Tensor, generator: torch.Generator) -> Tensor:
        """int64 labels [b] -> images [b, c, h, w] in [0, 1]; `generator` (CPU) draws the codes."""
        code = torch.randn(len(labels), self.code, generator=generator).to(labels.device)
        x = self.body(torch.cat([code, F.one_hot(labels, self.classes)], dim=1))
        return self.up(x.reshape(-1, self.width, self.side, self.side))
