"""DP-GAN (Xie et al., arXiv 1802.06739): a GAN whose discriminator is trained by DP-SGD.

The generator learns through the discriminator alone, which is post-processing. As in "Private GANs, Revisited" (Bie et
al., arXiv 2302.02936), the discriminator takes several steps per step of the generator: because its steps are noisy, it
needs more of them to find what the generator still gets wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dpbench.core.config import option
from dpbench.core.context import RunContext
from dpbench.core.method import Preset
from dpbench.core.specs import Batch, DatasetSpec, Request
from dpbench.methods.cores.adversarial.gan_settings import GANSettings
from dpbench.methods.cores.model_method import ModelMethod
from dpbench.privacy.dp_sgd_settings import DPSGDSettings
from dpbench.privacy.plan import Plan

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from dpbench.methods.cores.adversarial.conditional_gan import ConditionalGAN
    from dpbench.privacy.private_data import PrivateData

DISCRIMINATOR = "discriminator"
"""Name of the DP-SGD mechanism."""

BETAS = 0.0, 0.999
"""Adam without momentum for both networks, as published: each changes while the other learns."""


@dataclass(frozen=True)
class DPGANConfig(GANSettings, DPSGDSettings):
    """Settings of DP-GAN."""

    batch: int = option(768, "expected records per private step (Poisson)", low=1)
    steps: int = option(1500, "private steps of the discriminator", low=1)
    discriminator_steps: int = option(1, "private steps per step of the generator", low=1)
    clip: float = option(0.1, "clipping norm of a record's gradient; small enough to clip nearly every record", above=0)
    lr: float = option(2e-3, "peak learning rate of the discriminator (DP-Adam)", above=0, high=10)
    ema: float = option(0.99, "decay of the generator's moving-average weights, per generator step", low=0, below=1)


class DPGAN(ModelMethod[DPGANConfig]):
    """A conditional GAN whose discriminator is trained by DP-SGD (DP-GAN).

    A residual generator and a residual discriminator with label projection, trained alternately with the hinge loss.
    Each private record is paired with a fresh generated image of a random label; the gradient of the sum of both losses
    is clipped. The generator's steps cost no privacy, because only the discriminator has seen records.
    """

    Config = DPGANConfig
    model: ConditionalGAN
    version = "1"
    track = "none"
    paper = "arXiv 1802.06739"
    presets: ClassVar[Mapping[str, Preset]] = {
        "small": Preset(),
        "small/mnist": Preset(),
        "small/shapes": Preset({"steps": 1000, "generator_batch": 128}),
        "gpu": Preset(
            {
                "generator_channels": (128, 64),
                "discriminator_channels": (64, 64, 64),
                "halvings": 2,
                "patch": 2,
                "generator_batch": 512,
                "batch": 2048,
                "steps": 3000,
                "discriminator_steps": 2,
                "ema": 0.995,
            }
        ),
        "paper": Preset(  # DPImageBench (arXiv 2503.14681), for MNIST
            {
                "embedding": 128,
                "generator_channels": (240, 240, 240),
                "discriminator_channels": (160, 160, 160, 160),
                "pooling": "sum",
                "halvings": 2,
                "patch": 1,
                "attention": True,
                "spectral_norm": True,
                "generator_batch": 4096,
                "generator_lr": 2e-4,
                "batch": 4096,
                "steps": 2197,  # 150 epochs of MNIST's 60,000
                "discriminator_steps": 5,
                "clip": 1e-3,
                "lr": 5e-4,
                "schedule": "constant",
                "ema": 0.999,
                "ema_warmup": True,
            }
        ),
    }

    def __init__(self, config: DPGANConfig, spec: DatasetSpec):
        super().__init__(config, spec)
        from dpbench.methods.cores.adversarial.conditional_gan import ConditionalGAN

        self.model = ConditionalGAN(config, spec)

    @classmethod
    def plan(cls, config: DPGANConfig, spec: DatasetSpec, request: Request) -> Plan:
        """One mechanism: DP-SGD on all weights of the discriminator.

        Raises:
            ConfigError: the networks do not fit the resolution.
        """
        config.networks.check_divides(spec.resolution)
        return Plan(config.mechanism(DISCRIMINATOR, spec))

    def fit(self, private: PrivateData, run: RunContext) -> None:
        """Trains discriminator and generator alternately; see `Method.fit`."""
        import torch

        from dpbench.models.frozen import frozen
        from dpbench.training.loop import train_together
        from dpbench.training.part import Part
        from dpbench.training.public_steps import PublicSteps

        c, gan = self.config, self.model
        generator = gan.generator.to(run.device)
        discriminator = gan.new_discriminator().to(run.device)
        learns = torch.optim.Adam(discriminator.parameters(), c.lr, betas=BETAS)
        fools = torch.optim.Adam(generator.parameters(), c.generator_lr, betas=BETAS)

        def generator_loss() -> Tensor:
            labels = gan.random_labels(c.generator_batch, run.generator, run.device)
            images = gan.learnable(generator, labels, run.generator)
            return -frozen(discriminator, images, labels).mean()

        private_steps = private.dp_sgd(
            DISCRIMINATOR, discriminator, self.loss, learns, run.generator, **c.stepper_options()
        )
        public_steps = PublicSteps(generator_loss, fools, max(1, len(private_steps) // c.discriminator_steps), run)
        parts = [
            Part(private_steps, discriminator, learns, schedule=c.schedule),
            Part(public_steps, generator, fools, ema=c.ema, ema_warmup=c.ema_warmup, schedule=c.schedule),
        ]
        title = "train discriminator (private) and generator"
        train_together(parts, run, title, note=private.ledger.progress)
        gan.settle(run)

    def loss(self, discriminator: nn.Module, batch: Batch, draws: torch.Generator) -> Tensor:
        """The sum of the hinge losses of each record and of the generated image paired with it: [b]."""
        images, labels = self.model.real(batch)
        fake_labels = self.model.random_labels(len(images), draws, images.device)
        fakes = self.model.fakes(self.model.generator, fake_labels, draws)
        return (1 - discriminator(images, labels)).relu() + (1 + discriminator(fakes, fake_labels)).relu()
