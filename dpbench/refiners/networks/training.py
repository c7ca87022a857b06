"""The network of a trained refiner, and its training on public images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.refiner import Degrade
from dpbench.training.loop import PublicSteps, train
from dpbench.training.public import PublicBatches

if TYPE_CHECKING:
    from dpbench.refiners.trained import TrainedRefiner


class RefinerNetwork(nn.Module, ABC):
    """Coarse images -> images that are `scale` times as high and wide.

    Attributes:
        scale: height of an image divided by that of its coarse version.
    """

    scale: int

    def measure(self, images: Tensor, coarse: Tensor) -> None:
        """Sets what the network has to know of images [n, c, h, w] and coarse ones before it is trained."""

    @abstractmethod
    def loss(self, images: Tensor, coarse: Tensor, generator: torch.Generator) -> Tensor:
        """The loss of a batch: images [b, c, h, w] in [-1, 1] and their coarse versions -> a scalar."""

    @abstractmethod
    def refine(self, coarse: Tensor, run: RunContext) -> Tensor:
        """[b, c, h, w] -> [b, c, scale · h, scale · w], nominally in [-1, 1]; draws from the run's generator."""


def trained_weights(
    refiner: TrainedRefiner[Any], public: ImageDataset, degrade: Degrade, run: RunContext
) -> dict[str, Tensor]:
    """The weights of the refiner's network after it learnt to undo `degrade` on public images."""
    c = refiner.config
    batches = PublicBatches(public, c.augmentation, run.device, run.generator)
    images = batches.collect(refiner.measured)
    coarse = degrade(images, run.generator)
    network = refiner.network(images.shape[1], images.shape[-1] // coarse.shape[-1]).to(run.device)
    network.measure(images, coarse)
    optimizer = torch.optim.Adam(network.parameters(), c.lr)

    def loss() -> Tensor:
        images, _ = batches.draw(c.batch)
        return network.loss(images, degrade(images, run.generator), run.generator)

    steps = PublicSteps(loss, optimizer, c.steps, run)
    train(steps, network, optimizer, run, "train the refiner (public)", ema=c.ema)
    return dict(network.state_dict())
