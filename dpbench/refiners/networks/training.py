"""The network interface of trained refiners and its training on public images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.refiner import Degrade
from dpbench.training.loop import train
from dpbench.training.public_batches import PublicBatches
from dpbench.training.public_steps import PublicSteps

if TYPE_CHECKING:
    from dpbench.refiners.trained import TrainedRefiner


class RefinerNetwork(nn.Module, ABC):
    """A network that upsamples coarse images.

    Args:
        channels: image channels.
        scale: upsampling factor of height and width.
    """

    def __init__(self, channels: int, scale: int):
        super().__init__()
        self.scale = scale
        self.register_buffer("channels_and_scale", torch.tensor([channels, scale]))  # read when a model is restored

    def degraded(self, images: Tensor, degrade: Degrade, generator: torch.Generator) -> Tensor:
        """The network's input for public images [b, c, scale · h, scale · w]: here their coarse versions."""
        return degrade(images, generator)

    def measure(self, images: Tensor, coarse: Tensor) -> None:
        """Sets statistics that the network needs before training.

        Args:
            images: public images, float [n, c, scale · h, scale · w] in [-1, 1].
            coarse: their coarse versions, float [n, c, h, w].
        """

    @abstractmethod
    def loss(self, images: Tensor, coarse: Tensor, generator: torch.Generator) -> Tensor:
        """The training loss, a scalar.

        Args:
            images: float [b, c, scale · h, scale · w] in [-1, 1].
            coarse: `degraded` images, float [b, c, h, w].
            generator: source of randomness (CPU).
        """

    @abstractmethod
    def refine(self, coarse: Tensor, run: RunContext) -> Tensor:
        """[b, c, h, w] -> [b, c, scale · h, scale · w], nominally in [-1, 1]; uses the run's generator."""


def trained_weights(
    refiner: TrainedRefiner[Any], public: ImageDataset, degrade: Degrade, run: RunContext
) -> dict[str, Tensor]:
    """Trains the refiner's network to invert `degrade` on public images and returns its weights."""
    c = refiner.config
    batches = PublicBatches(public, c.augmentation, run.device, run.generator)
    images = batches.collect(refiner.measured)
    coarse = degrade(images, run.generator)
    network = refiner.network(images.shape[1], images.shape[-1] // coarse.shape[-1]).to(run.device)
    network.measure(images, coarse)
    optimizer = torch.optim.Adam(network.parameters(), c.lr)

    def loss() -> Tensor:
        images, _ = batches.draw(c.batch)
        return network.loss(images, network.degraded(images, degrade, run.generator), run.generator)

    steps = PublicSteps(loss, optimizer, c.steps, run)
    train(steps, network, optimizer, run, "train the refiner (public)", ema=c.ema)
    return dict(network.state_dict())
