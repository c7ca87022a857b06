"""Small classifiers that train in seconds on a CPU core, and their training recipe.

None uses batch normalisation, because the batch statistics of synthetic training images and real test images differ.
"cnn" takes images of 4 x 4 pixels, "vgg" of 8 x 8 and "resnet" of 16 x 16, and larger ones. From 64 x 64 on, the first
convolution has a larger stride, so that later layers have about the same size and cost.

Networks and recipe were chosen on the last 5,000 images of a fixed shuffle of the train splits of CIFAR-10 and MNIST.
Accuracies there, trained on other real train images (CIFAR-10 with random mirroring, which was dropped afterwards):

    images             cnn    vgg    resnet
    CIFAR-10, 45,000   0.75   0.77   0.75
    CIFAR-10, 10,000   0.62   0.64   0.61
    MNIST, 10,000      0.989  0.990  0.988

The final recipe, on all 50,000 train images of CIFAR-10, has 0.759, 0.770 and 0.762 on test (one run each).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import torch

from dpbench.core.specs import DatasetSpec
from dpbench.metrics.classifiers.base import Make, group_norm
from dpbench.metrics.classifiers.cnn import SmallCNN
from dpbench.metrics.classifiers.recipe import Recipe
from dpbench.metrics.classifiers.small_resnet import SmallResNet
from dpbench.metrics.classifiers.small_vgg import SmallVGG
from dpbench.metrics.classifiers.versions import QUICK_VERSION


def _shrink(spec: DatasetSpec) -> int:
    return max(1, spec.resolution // 32)


NETWORKS: Mapping[str, Make] = {
    "cnn": lambda s: SmallCNN(s.channels, s.n_classes, _shrink(s)),
    "vgg": lambda s: SmallVGG(s.channels, s.n_classes, group_norm, stride=2 * _shrink(s)),
    "resnet": lambda s: SmallResNet(s.channels, s.n_classes, group_norm, stride=2 * _shrink(s)),
}
"""Three networks of different kinds, of 0.17 to 0.33 ms per image and training step on one core."""

BATCH = 64
EPOCHS = 6
FEWEST_STEPS = 300
MOST_STEPS_OF_REAL = 2500


def steps(n: int) -> int:
    """The number of steps: `EPOCHS` passes over n images, but at least `FEWEST_STEPS` steps."""
    return max(FEWEST_STEPS, math.ceil(EPOCHS * n / BATCH))


def warmup_cosine(t: float) -> float:
    """Learning rate schedule: linear warm-up over the first fifth of the steps, then cosine decay to zero.

    Args:
        t: elapsed share of the training, in [0, 1].
    """
    return t / 0.2 if t < 0.2 else (1 + math.cos(math.pi * (t - 0.2) / 0.8)) / 2


RECIPE = Recipe(
    version=QUICK_VERSION,
    batch=BATCH,
    steps=steps,
    optimizer=partial(torch.optim.AdamW, lr=4e-3, weight_decay=0.05, fused=True),
    rate=warmup_cosine,
    smoothing=0.1,
    shift=2,
    small=True,
    runs=3,
)
"""Shifts are the only augmentation, because they keep the class of any image; a mirrored digit may be another digit."""

REAL_RECIPE = replace(RECIPE, steps=lambda n: min(MOST_STEPS_OF_REAL, steps(n)), runs=1)
"""The recipe of the classifier of real images, which should not take more time for a larger dataset."""
