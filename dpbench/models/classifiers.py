"""Two small image classifiers that train in seconds on two CPU cores. Fixed: their scores are compared across papers.

Neither normalises by batch statistics: those of synthetic training images and of real test images differ, and a
classifier that leans on them falls apart on the way from one to the other.

Both take float images [b, c, h, w] in [-1, 1], 1 or 3 channels, 28 to 64 pixels (larger ones work too). Widths hold up
to 32 pixels; beyond, the first convolution strides so that the rest sees 32, and the cost stays what it is at 32.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dpbench.core.specs import DatasetSpec


class Classifier(nn.Module, ABC):
    """A network that ends in one linear layer, `head`.

    Args:
        channels: 1 or 3.
        resolution: height and width of the images.
        n_classes: number of logits.
    """

    head: nn.Linear

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """[b, c, h, w] in [-1, 1] -> [b, d]: what the head sees."""

    def forward(self, x: Tensor) -> Tensor:
        """[b, c, h, w] in [-1, 1] -> logits [b, n_classes]."""
        return self.head(self.features(x))


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution and its group normalisation, 16 channels a group; the size is divided by `stride`."""
    padding = (kernel - stride + 1) // 2
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False),
        nn.GroupNorm(outputs // 16, outputs),
    )


class SmallCNN(Classifier):
    """Three 3 x 3 convolutions of 16, 32 and 64 channels, each pooled, and a hidden layer."""

    def __init__(self, channels: int, resolution: int, n_classes: int):
        super().__init__()
        stride = max(1, resolution // 32)
        self.conv1 = nn.Conv2d(channels, 16, stride + 2, stride, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.conv3 = nn.Conv2d(32, 64, 3, padding=1)
        self.hidden = nn.Linear(64 * 4 * 4, 128)
        self.head = nn.Linear(128, n_classes)

    def features(self, x: Tensor) -> Tensor:
        """[b, c, h, w] in [-1, 1] -> [b, 128]."""
        x = F.relu(F.max_pool2d(self.conv1(x), 2))  # [b, 16, 16, 16] for 32 pixels
        x = F.relu(F.max_pool2d(self.conv2(x), 2))  # [b, 32, 8, 8]
        x = F.relu(F.adaptive_max_pool2d(self.conv3(x), 4))  # [b, 64, 4, 4]
        return F.relu(self.hidden(x.flatten(1)))


class _Residual(nn.Module):
    """relu(x + conv(relu(conv(x)))), with a 1 x 1 convolution on the shortcut where shapes differ."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = _conv(inputs, outputs, 3, stride)
        self.conv2 = _conv(outputs, outputs)
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else _conv(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.shortcut(x) + self.conv2(F.relu(self.conv1(x))))


class ResNet(Classifier):
    """ResNet-8 (He et al., arXiv 1512.03385, section 4.2) with a strided first convolution: 16, 32, 64 channels."""

    def __init__(self, channels: int, resolution: int, n_classes: int):
        super().__init__()
        stride = 2 * max(1, resolution // 32)
        self.stem = _conv(channels, 16, stride + 2, stride)
        self.blocks = nn.Sequential(_Residual(16, 16, 1), _Residual(16, 32, 2), _Residual(32, 64, 2))
        self.head = nn.Linear(64, n_classes)

    def features(self, x: Tensor) -> Tensor:
        """[b, c, h, w] in [-1, 1] -> [b, 64]."""
        return self.blocks(F.relu(self.stem(x))).mean((2, 3))  # from [b, 16, 16, 16] to [b, 64, 4, 4] for 32 pixels


CLASSIFIERS: dict[str, type[Classifier]] = {"cnn": SmallCNN, "resnet": ResNet}


def build_classifier(name: str, spec: DatasetSpec, generator: torch.Generator) -> Classifier:
    """An untrained classifier whose initial weights depend on `generator` alone, not on torch's global state.

    Args:
        name: a key of `CLASSIFIERS`.
        spec: shape of the images and the number of classes.
        generator: CPU generator.
    """
    seed = int(torch.randint(2**62, (), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CLASSIFIERS[name](spec.channels, spec.resolution, spec.n_classes)
