"""A convolutional super-resolver that learns from a critic which details look real (SRGAN, arXiv 1609.04802)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dpbench.core.config import option
from dpbench.refiners.regression import RegressionConfig
from dpbench.refiners.trained import TrainedRefiner

if TYPE_CHECKING:
    from dpbench.refiners.networks.adversarial_net import AdversarialNet


@dataclass(frozen=True)
class AdversarialConfig(RegressionConfig):
    """Settings of the adversarial refiner."""

    lr: float = option(1e-3, "peak learning rate of Adam, for super-resolver and critic", above=0, high=10)
    ema: float | None = option(
        0.99, "decay of the exponential moving average of the weights; none disables it", low=0, below=1
    )
    critic_width: int = option(32, "channels of the critic's first layer", low=1)
    weight: float = option(0.1, "weight of the adversarial loss, added to the L1 loss", low=0)


class Adversarial(TrainedRefiner[AdversarialConfig]):
    """Convolutional super-resolution with an L1 loss and a critic, trained on public images: fast, sharp."""

    Config = AdversarialConfig
    paper = "arXiv 1609.04802"
    name = "adversarial"

    def network(self, channels: int, scale: int) -> AdversarialNet:
        """See `TrainedRefiner.network`."""
        from dpbench.refiners.networks.adversarial_net import AdversarialNet

        c = self.config
        return AdversarialNet(channels, c.width, c.depth, scale, c.critic_width, c.weight)
