"""Classifiers of small images, for queries that ask what a public classifier sees."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import resnet50

SIDE = 32
"""Height and width that images are resized to."""


def _small(classes: int) -> nn.Module:
    """Three convolutions with group normalisation and one linear layer, about 3 million multiplications per image."""

    def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
        convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=1, bias=False)
        return [convolution, nn.GroupNorm(outputs // 16, outputs), nn.ReLU()]

    return nn.Sequential(
        *conv(3, 32, kernel=4, stride=2), nn.MaxPool2d(2),
        *conv(32, 64), nn.MaxPool2d(2),
        *conv(64, 128), nn.Flatten(),
        nn.Linear(128 * (SIDE // 8) ** 2, classes),
    )  # fmt: skip


def _resnet50(classes: int) -> nn.Module:
    return resnet50(num_classes=classes)


NETWORKS: dict[str, Callable[[int], nn.Module]] = {"small": _small, "resnet50": _resnet50}
"""Name -> (number of classes -> untrained network of RGB images of `SIDE` pixels)."""


class ImageClassifier(nn.Module):
    """Logits of an image of any size, grey or colour.

    Args:
        network: a name in `NETWORKS`.
        classes: number of logits.
    """

    def __init__(self, network: str, classes: int):
        super().__init__()
        self.network = NETWORKS[network](classes)

    def forward(self, images: Tensor) -> Tensor:
        """Float [b, c, h, w] in [-1, 1] -> logits [b, classes]."""
        colour = images.expand(-1, 3, -1, -1)
        return self.network(F.interpolate(colour, size=(SIDE, SIDE), mode="bilinear", antialias=True))
