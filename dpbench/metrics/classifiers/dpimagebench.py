"""The classifiers of DPImageBench and their training recipes (Gong et al., arXiv 2503.14681).

The constants are from `evaluation/evaluator.py` and `evaluation/classifier/` in
github.com/2019ChenGong/DPImageBench (commit ec57378).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import nn

from dpbench.metrics.classifiers.base import Make
from dpbench.metrics.classifiers.recipe import Recipe
from dpbench.metrics.classifiers.resnet import ResNet
from dpbench.metrics.classifiers.resnext import ResNeXt
from dpbench.metrics.classifiers.versions import DPIMAGEBENCH_VERSION
from dpbench.metrics.classifiers.wideresnet import WideResNet

NETWORKS: Mapping[str, Make] = {
    "resnet": lambda s: ResNet(s.channels, s.n_classes, 110, nn.BatchNorm2d),
    "wrn": lambda s: WideResNet(s.channels, s.n_classes, 40, 4, nn.BatchNorm2d, dropout=0.3),
    "resnext": lambda s: ResNeXt(s.channels, s.n_classes, 29, 8, 4, nn.BatchNorm2d),
}
"""ResNet-110, WRN-40-4 with dropout, ResNeXt-29 (8 x 64d)."""

RECIPE = Recipe(
    version=DPIMAGEBENCH_VERSION,
    batch=256,
    steps=lambda n: -(-50 * n // 256),  # 50 epochs
    optimizer=partial(torch.optim.Adam, lr=0.01),
    rate=lambda t: 0.2 ** int(50 * t / 20),  # times 0.2 every 20 epochs
    ema_decay=0.9999,
)

CIFAR_NETWORKS: Mapping[str, Make] = {
    "resnet": lambda s: ResNet(s.channels, s.n_classes, 164, nn.BatchNorm2d),
    "wrn": lambda s: WideResNet(s.channels, s.n_classes, 28, 10, nn.BatchNorm2d, dropout=0.3),
    "resnext": lambda s: ResNeXt(s.channels, s.n_classes, 28, 8, 10, nn.BatchNorm2d),
}
"""ResNet-164, WRN-28-10 with dropout, ResNeXt (two bottlenecks per stage)."""

CIFAR_RECIPE = Recipe(
    version=DPIMAGEBENCH_VERSION,
    batch=126,
    steps=lambda n: -(-200 * n // 126),  # 200 epochs
    optimizer=partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=5e-4),
    rate=lambda t: 0.2 ** int(200 * t / 60),  # times 0.2 every 60 epochs
    ema_decay=0.9999,
)

CIFAR = ("cifar10", "cifar100")
"""The datasets that use the larger networks and the longer recipe."""


def setting(dataset: str) -> tuple[Mapping[str, Make], Recipe]:
    """The networks and the recipe for a dataset."""
    return (CIFAR_NETWORKS, CIFAR_RECIPE) if dataset in CIFAR else (NETWORKS, RECIPE)
