"""A plain convolutional network."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from dpbench.metrics.classifiers.base import Classifier


class SmallCNN(Classifier):
    """Three 3 x 3 convolutions of 16, 32 and 64 channels, each pooled, and a hidden layer; no normalisation.

    Args:
        channels: 1 or 3.
        n_classes: number of logits.
        stride: stride of the first convolution.
    """

    def __init__(self, channels: int, n_classes: int, stride: int = 1):
        super().__init__()
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
