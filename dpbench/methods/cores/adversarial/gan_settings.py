"""Settings of methods that train a GAN: networks and the generator's training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dpbench.core.config import option
from dpbench.models.gan_config import GANConfig


@dataclass(frozen=True)
class GANSettings:
    """Settings of the networks, and of the generator's steps."""

    code: int = option(60, "dimension of the latent code", low=1)
    latent: Literal["normal", "bits"] = option("normal", "distribution of the latent code's numbers")
    embedding: int = option(32, "dimension of the generator's label embedding", low=1)
    generator_channels: tuple[int, ...] = option(
        (64,), "channels of the generator's blocks, coarsest first; each doubles the size", low=1
    )
    discriminator_channels: tuple[int, ...] = option(
        (32, 32), "channels of the discriminator's blocks, finest first", low=4
    )
    pooling: Literal["mean", "sum"] = option(
        "mean", "how the discriminator pools features over positions; sum as published"
    )
    halvings: int = option(1, "number of the discriminator's first blocks that halve the size", low=0)
    patch: int = option(4, "side of the pixel patches folded into the networks' channels; 1 as published", low=1)
    attention: bool = option(False, "self-attention after the generator's second block, as published")
    spectral_norm: bool = option(False, "spectral normalisation of the generator, as published")
    generator_batch: int = option(128, "generated images per step of the generator", low=2)
    generator_lr: float = option(2e-3, "peak learning rate of the generator (Adam)", above=0, high=10)

    @property
    def networks(self) -> GANConfig:
        """Sizes of the networks."""
        return GANConfig(
            self.code,
            self.embedding,
            self.generator_channels,
            self.discriminator_channels,
            self.pooling,
            self.halvings,
            self.patch,
            self.attention,
            self.spectral_norm,
        )


@dataclass(frozen=True)
class CriticSettings:
    """Settings of Wasserstein critics, which are trained without noise inside the vault."""

    critic: Literal["mlp", "residual"] = option("mlp", "network of the critics: fully connected, or as of dp-gan")
    critic_width: int = option(64, "units of a hidden layer, for critic=mlp", low=1)
    critic_warmup: int = option(
        0, "training steps of each critic before the first private step; 2000 as published", low=0
    )
    trained: int = option(50, "critics that are trained before each private step, in turn", low=1)
    critic_steps: int = option(1, "training steps of a critic when it has its turn; 5 as published", low=1)
    critic_batch: int = option(32, "real and generated images per training step of a critic", low=2)
    critic_lr: float = option(3e-3, "learning rate of the critics (Adam)", above=0, high=10)
    penalty: float = option(10.0, "weight of the gradient penalty", low=0)
