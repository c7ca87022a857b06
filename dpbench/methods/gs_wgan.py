"""GS-WGAN (Chen et al., arXiv 2006.08265): a generator that learns from noisy gradients of many discriminators.

Every discriminator is trained on its own shard of the private records and is never released. Only the gradient that the
generator receives at its images is clipped and noised, so the discriminators themselves train without noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

from dpbench.core.config import option
from dpbench.core.context import RunContext
from dpbench.core.errors import ConfigError
from dpbench.core.method import Preset
from dpbench.core.specs import DatasetSpec, Request
from dpbench.methods.cores.adversarial.gan_settings import CriticSettings, GANSettings
from dpbench.methods.cores.model_method import ModelMethod
from dpbench.privacy.mechanisms.sanitised import SanitisedGradients
from dpbench.privacy.plan import Plan

if TYPE_CHECKING:
    from torch import Tensor

    from dpbench.methods.cores.adversarial.conditional_gan import ConditionalGAN
    from dpbench.privacy.private_data import PrivateData

GRADIENTS = "generator gradients"
"""Name of the mechanism."""


@dataclass(frozen=True)
class GSWGANConfig(CriticSettings, GANSettings):
    """Settings of GS-WGAN."""

    latent: Literal["normal", "bits"] = option("bits", "distribution of the latent code's numbers")
    code: int = option(10, "dimension of the latent code", low=1)
    pooling: Literal["mean", "sum"] = option("sum", "how critics pool features over positions, for critic=residual")
    shards: int = option(200, "discriminators, each on its own shard of the records", low=2)
    steps: int = option(4000, "private steps of the generator", low=1)
    generator_batch: int = option(64, "generated images per private step; 32 as published", low=2)
    generator_lr: float = option(2e-3, "peak learning rate of the generator (Adam)", above=0, high=10)
    clip: float = option(0.1, "clipping norm of the gradient at one generated image", above=0)
    ema: float = option(0.995, "decay of the moving average of the generator's weights, per step", low=0, below=1)


class GSWGAN(ModelMethod[GSWGANConfig]):
    """A GAN whose discriminators are never released; only the generator's gradient is noised (GS-WGAN).

    The records are split into shards, with one Wasserstein critic per shard. Before each private step, some critics are
    trained on the current generated images, in turn. The step draws one critic in secret, and returns the gradients of
    its scores at these images, clipped per image and noised.
    """

    Config = GSWGANConfig
    model: ConditionalGAN
    version = "3"
    track = "none"
    paper = "arXiv 2006.08265"
    presets: ClassVar[Mapping[str, Preset]] = {
        "small": Preset(),
        "small/mnist": Preset(),
        "small/shapes": Preset({"shards": 100, "steps": 1000, "trained": 25}),
        "gpu": Preset({"shards": 500, "steps": 8000, "trained": 20}),
        "paper": Preset(
            {
                "embedding": 10,
                "generator_channels": (256, 256, 256),
                "discriminator_channels": (64, 128, 256),
                "halvings": 3,
                "patch": 1,
                "spectral_norm": True,
                "generator_batch": 32,
                "generator_lr": 1e-4,
                "shards": 1000,
                "steps": 20_000,
                "clip": 1.0,
                "ema": 0.999,
                "critic": "residual",
                "critic_warmup": 2000,
                "trained": 1,
                "critic_steps": 5,
                "critic_lr": 1e-4,
            }
        ),
    }

    def __init__(self, config: GSWGANConfig, spec: DatasetSpec):
        super().__init__(config, spec)
        from dpbench.methods.cores.adversarial.conditional_gan import ConditionalGAN

        self.model = ConditionalGAN(config, spec)

    @classmethod
    def plan(cls, config: GSWGANConfig, spec: DatasetSpec, request: Request) -> Plan:
        """One mechanism: the gradients at the generated images of each step.

        Raises:
            ConfigError: the networks do not fit the resolution, or there are more shards than records.
        """
        c = config
        c.networks.check_divides(spec.resolution)
        if c.shards > spec.n_train:
            raise ConfigError(f"{spec.n_train} records make no {c.shards} shards; set fewer shards")
        return Plan(
            SanitisedGradients(
                name=GRADIENTS,
                clip=c.clip,
                shards=c.shards,
                samples=c.generator_batch,
                steps=c.steps,
                trained=c.trained,
            )
        )

    def fit(self, private: PrivateData, run: RunContext) -> None:
        """Trains the generator along the private gradients; see `Method.fit`."""
        import torch

        from dpbench.methods.cores.adversarial.wasserstein_critics import BETAS, WassersteinCritic
        from dpbench.training.loop import train

        c, gan = self.config, self.model
        generator = gan.generator.to(run.device)
        optimizer = torch.optim.Adam(generator.parameters(), c.generator_lr, betas=BETAS)

        def generate() -> tuple[Tensor, Tensor]:
            labels = gan.random_labels(c.generator_batch, run.generator, run.device)
            with run.autocast():
                return gan.learnable(generator, labels, run.generator), labels

        new = partial(WassersteinCritic, c, gan, run.device)
        steps = private.sanitised_gradients(GRADIENTS, new, generate, optimizer)
        title, note = "train the generator (private)", private.ledger.progress
        train(steps, generator, optimizer, run, title, ema=c.ema, note=note)
        gan.settle(run)
