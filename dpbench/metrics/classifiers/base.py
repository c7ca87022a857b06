"""Shared parts of classifiers: the base class, normalisations, stages of residual blocks, initial weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from dpbench.core.errors import MissingScore
from dpbench.core.specs import DatasetSpec

Norm = Callable[[int], nn.Module]
"""Number of channels -> a normalisation layer."""


class Classifier(nn.Module, ABC):
    """A network that ends in one linear layer, `head`."""

    smallest: ClassVar[int] = 4
    """The lowest resolution: below it, a pooling layer would get a single pixel."""
    head: nn.Linear

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """[b, c, h, w] in [-1, 1] -> [b, d]: the input of the head."""

    def forward(self, x: Tensor) -> Tensor:
        """[b, c, h, w] in [-1, 1] -> logits [b, n_classes]."""
        return self.head(self.features(x))


Make = Callable[[DatasetSpec], Classifier]
"""Specification of a dataset (shape, classes) -> an untrained classifier for it."""


def build_classifier(make: Make, spec: DatasetSpec, generator: torch.Generator) -> Classifier:
    """An untrained classifier whose initial weights depend only on `generator`, not on torch's global state.

    Args:
        make: builds it.
        spec: shape of the images and number of classes.
        generator: CPU generator.
    """
    seed = int(torch.randint(2**62, (), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make(spec)


def require_size(spec: DatasetSpec, classifiers: Iterable[Classifier]) -> None:
    """Checks that the images are large enough for all classifiers.

    Raises:
        MissingScore: their resolution is below `Classifier.smallest` of a classifier.
    """
    smallest = max(classifier.smallest for classifier in classifiers)
    if spec.resolution < smallest:
        raise MissingScore(f"classification needs a resolution of at least {smallest}, not {spec.resolution}")


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation with 16 channels per group; images do not affect each other."""
    return nn.GroupNorm(channels // 16, channels)


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution without bias that divides the size by `stride`."""
    return nn.Conv2d(inputs, outputs, kernel, stride, (kernel - stride + 1) // 2, groups=groups, bias=False)


def stages(block: Callable[[int, int, int], nn.Module], widths: Sequence[int], n: int) -> nn.Sequential:
    """Stages of n residual blocks; every stage except the first halves the size, in its first block.

    Args:
        block: (channels in, channels out, stride) -> a block.
        widths: number of input channels, then of each stage's channels.
        n: blocks per stage.
    """
    blocks = []
    for stage, (inputs, outputs) in enumerate(pairwise(widths)):
        blocks.append(block(inputs, outputs, 2 if stage else 1))
        blocks += [block(outputs, outputs, 1) for _ in range(n - 1)]
    return nn.Sequential(*blocks)


def initialise(model: nn.Module, fan: Literal["fan_in", "fan_out"] = "fan_out") -> None:
    """Initialises convolutions as in He et al. (arXiv 1502.01852): normal, variance 2 / fan."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode=fan, nonlinearity="relu")
