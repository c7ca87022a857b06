"""Image classifiers for measuring, one file per family. Fixed: their scores are compared across papers.

Three tables of ready-made ones, by name. All take float images [b, c, h, w] in [-1, 1], 1 or 3 channels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from dpbench.core.specs import DatasetSpec
from dpbench.metrics.classifiers.base import Classifier as Classifier
from dpbench.metrics.classifiers.base import group_norm
from dpbench.metrics.classifiers.cnn import SmallCNN
from dpbench.metrics.classifiers.resnet import ResNet
from dpbench.metrics.classifiers.resnext import ResNeXt
from dpbench.metrics.classifiers.wideresnet import WideResNet

Make = Callable[[DatasetSpec], Classifier]
"""What a dataset declares (shape, classes) -> an untrained classifier for it."""


def _shrink(spec: DatasetSpec) -> int:
    return max(1, spec.resolution // 32)


QUICK: Mapping[str, Make] = {
    "cnn": lambda s: SmallCNN(s.channels, s.n_classes, _shrink(s)),
    "resnet": lambda s: ResNet(s.channels, s.n_classes, 8, group_norm, stride=2 * _shrink(s)),
    "wideresnet": lambda s: WideResNet(s.channels, s.n_classes, 10, 2, group_norm, stride=4 * _shrink(s)),
}
"""Small ones that train in seconds on two CPU cores: a CNN, ResNet-8 and WRN-10-2, the latter two with strided stems.

None normalises by batch statistics: those of synthetic training images and of real test images differ, and a
classifier that leans on them falls apart on the way from one to the other. From 28 pixels on; beyond 32 the first
convolution strides so that the rest sees 32 pixels, and the cost stays what it is there.
"""

PUBLISHED: Mapping[str, Make] = {
    "resnet": lambda s: ResNet(s.channels, s.n_classes, 110, nn.BatchNorm2d),
    "wrn": lambda s: WideResNet(s.channels, s.n_classes, 40, 4, nn.BatchNorm2d, dropout=0.3),
    "resnext": lambda s: ResNeXt(s.channels, s.n_classes, 29, 8, 4, nn.BatchNorm2d),
}
"""Those of DPImageBench (arXiv 2503.14681): ResNet-110, WRN-40-4 with dropout, ResNeXt-29 (8 x 64d)."""

PUBLISHED_CIFAR: Mapping[str, Make] = {
    "resnet": lambda s: ResNet(s.channels, s.n_classes, 164, nn.BatchNorm2d),
    "wrn": lambda s: WideResNet(s.channels, s.n_classes, 28, 10, nn.BatchNorm2d, dropout=0.3),
    "resnext": lambda s: ResNeXt(s.channels, s.n_classes, 28, 8, 10, nn.BatchNorm2d),
}
"""The larger ones that it takes for CIFAR: ResNet-164, WRN-28-10 with dropout, ResNeXt (two bottlenecks per stage)."""


def build_classifier(make: Make, spec: DatasetSpec, generator: torch.Generator) -> Classifier:
    """An untrained classifier whose initial weights depend on `generator` alone, not on torch's global state.

    Args:
        make: an entry of one of the tables above.
        spec: shape of the images and the number of classes.
        generator: CPU generator.
    """
    seed = int(torch.randint(2**62, (), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make(spec)
