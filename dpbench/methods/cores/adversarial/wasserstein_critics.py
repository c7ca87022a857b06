"""Wasserstein critics with gradient penalty (WGAN-GP, Gulrajani et al., arXiv 1704.00028), as the vault trains them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dpbench.methods.cores.adversarial.conditional_gan import ConditionalGAN
from dpbench.methods.cores.adversarial.gan_settings import CriticSettings
from dpbench.models.frozen import frozen
from dpbench.models.mlp_discriminator import MLPDiscriminator
from dpbench.privacy.sanitised_steps import DrawRecords

BETAS = 0.5, 0.9
"""Adam's decay rates for critics and generator, as published."""

DRIFT = 1e-3
"""Weight of the squared scores of real images, which keeps scores near zero."""


class WassersteinCritic:
    """A critic of GS-WGAN with its optimiser; see `Discriminator`.

    Args:
        config: settings of its network and training.
        gan: makes generators, and describes the images.
        device: device of the critic.

    Attributes:
        network: gives the scores.
    """

    def __init__(self, config: CriticSettings, gan: ConditionalGAN, device: str):
        self._config = config
        self._gan = gan
        self._device = device
        self.network = NETWORKS[config.critic](config, gan).to(device)
        self._optimizer = torch.optim.Adam(self.network.parameters(), config.critic_lr, betas=BETAS)

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        """See `Discriminator`."""
        scores: Tensor = self.network(images, labels)
        return scores

    def warm_up(self, records: DrawRecords, draws: torch.Generator) -> None:
        """Trains the critic against a throw-away generator of its own."""
        c, gan = self._config, self._gan
        generator = gan.new_generator().to(self._device)
        optimizer = torch.optim.Adam(generator.parameters(), gan.config.generator_lr, betas=BETAS)
        for done in range(1, c.critic_warmup + 1):
            real, labels = gan.real(records(c.critic_batch))
            self._step(real, gan.fakes(generator, labels, draws), labels, draws)
            if done % c.critic_steps == 0:
                labels = gan.random_labels(c.critic_batch, draws, self._device)
                optimizer.zero_grad(set_to_none=True)
                frozen(self.network, gan.learnable(generator, labels, draws), labels).mean().neg().backward()
                optimizer.step()

    def train(self, records: DrawRecords, images: Tensor, labels: Tensor, draws: torch.Generator) -> None:
        """See `Discriminator`."""
        for _ in range(self._config.critic_steps):
            real, wanted = self._gan.real(records(self._config.critic_batch))
            self._step(real, images[_partners(wanted, labels, draws)], wanted, draws)

    def _step(self, images: Tensor, fakes: Tensor, labels: Tensor, draws: torch.Generator) -> None:
        """A step of the optimiser on real and generated images of the same labels."""
        self._optimizer.zero_grad(set_to_none=True)
        self._loss(images, fakes, labels, draws).backward()
        self._optimizer.step()

    def _loss(self, images: Tensor, fakes: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
        """The Wasserstein loss with its penalties."""
        fake, real = self(torch.cat([fakes, images]), labels.repeat(2)).chunk(2)
        wasserstein = (fake - real).mean() + DRIFT * real.square().mean()
        return wasserstein + self._config.penalty * self._gradient_penalty(images, fakes, labels, draws)

    def _gradient_penalty(self, images: Tensor, fakes: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
        """Mean squared distance from 1 of the norm of the scores' gradient, between real and generated images."""
        share = torch.rand(len(images), 1, 1, 1, generator=draws).to(images.device)
        between = (share * images + (1 - share) * fakes).requires_grad_()
        (gradients,) = torch.autograd.grad(self(between, labels).sum(), between, create_graph=True)
        return (gradients.flatten(1).norm(dim=1) - 1).square().mean()

    def state_dict(self) -> dict[str, Any]:
        """See `Discriminator`."""
        return {"network": self.network.state_dict(), "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Discriminator`."""
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])


def _partners(wanted: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
    """For each wanted label, the index of a random generated image with this label, or of any if there is none.

    As published, a critic compares images of the same class. One that saw labels only on generated images would score
    these without bounds: the penalty holds only for labels of records.

    Args:
        wanted: labels of records, int64 [b].
        labels: labels of generated images, int64 [n].
        draws: randomness (CPU).
    """
    fits = wanted[:, None] == labels
    return (fits + torch.rand(fits.shape, generator=draws).to(fits.device)).argmax(1)


def _mlp(config: CriticSettings, gan: ConditionalGAN) -> nn.Module:
    return MLPDiscriminator(gan.spec.shape, gan.labels, config.critic_width)


def _residual(config: CriticSettings, gan: ConditionalGAN) -> nn.Module:
    return gan.new_discriminator()


NETWORKS = {"mlp": _mlp, "residual": _residual}
"""The networks of critics, by the setting `critic`."""
