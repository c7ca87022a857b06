"""Small classifiers that train in seconds on two CPU cores, and their training recipe.

None uses batch normalisation, because the batch statistics of synthetic training images and real test images differ.
Images have at least 28 x 28 pixels. Above 32 x 32 the first convolution is strided, so that later layers have the same
size and cost.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

import torch

from dpbench.core.specs import DatasetSpec
from dpbench.metrics.classifiers.augmentation import Augmentation
from dpbench.metrics.classifiers.base import Make, group_norm
from dpbench.metrics.classifiers.cnn import SmallCNN
from dpbench.metrics.classifiers.recipe import Recipe
from dpbench.metrics.classifiers.resnet import ResNet
from dpbench.metrics.classifiers.versions import QUICK_VERSION
from dpbench.metrics.classifiers.wideresnet import WideResNet


def _shrink(spec: DatasetSpec) -> int:
    return max(1, spec.resolution // 32)


NETWORKS: Mapping[str, Make] = {
    "cnn": lambda s: SmallCNN(s.channels, s.n_classes, _shrink(s)),
    "resnet": lambda s: ResNet(s.channels, s.n_classes, 8, group_norm, stride=2 * _shrink(s)),
    "wideresnet": lambda s: WideResNet(s.channels, s.n_classes, 10, 2, group_norm, stride=4 * _shrink(s)),
}
"""A CNN, ResNet-8 and WRN-10-2; the latter two with strided stems."""


def warmup_cosine(t: float) -> float:
    """Learning rate schedule: linear warm-up over the first fifth of the steps, then cosine decay to zero.

    Args:
        t: elapsed share of the training, in [0, 1].
    """
    return t / 0.2 if t < 0.2 else (1 + math.cos(math.pi * (t - 0.2) / 0.8)) / 2


RECIPE = Recipe(
    version=QUICK_VERSION,
    batch=64,
    steps=lambda n: 500,  # constant, so that the cost does not depend on the number of images
    optimizer=partial(torch.optim.Adam, lr=2e-3, fused=True),
    rate=warmup_cosine,
    augmentation={1: Augmentation(shift=2), 3: Augmentation(shift=2, mirror=True)},
    small=True,
    runs=3,
)
