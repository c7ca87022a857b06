"""Wasserstein critics with gradient penalty (WGAN-GP, Gulrajani et al., arXiv 1704.00028), as the vault trains them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from dpbench.core.specs import Batch
from dpbench.methods.cores.conditional_gan import ConditionalGAN
from dpbench.methods.cores.gan_settings import CriticSettings
from dpbench.models.frozen import frozen
from dpbench.models.gan_generator import ResNetGenerator
from dpbench.privacy.sanitised_steps import DrawRecords

BETAS = 0.5, 0.9
"""Adam's decay rates for critics and generator, as published."""

DRIFT = 1e-3
"""Weight of the squared scores of real images, which keeps scores near zero."""


class WassersteinCritics:
    """Trains the critics of GS-WGAN inside the vault; see `Discriminators`.

    Args:
        config: settings of their training.
        gan: makes critics and generators; its own generator is the current one.
        device: device of the critics.
    """

    def __init__(self, config: CriticSettings, gan: ConditionalGAN, device: str):
        self._config = config
        self._gan = gan
        self._device = device

    def new(self) -> nn.Module:
        """See `Discriminators`."""
        return self._gan.new_discriminator().to(self._device)

    def warm_up(self, critic: nn.Module, records: DrawRecords, draws: torch.Generator) -> None:
        """Trains a critic against a throw-away generator of its own."""
        c, gan = self._config, self._gan
        generator = gan.new_generator().to(self._device)
        optimizer = torch.optim.Adam(generator.parameters(), gan.config.generator_lr, betas=BETAS)
        for done in self._steps(critic, generator, records, draws, c.critic_warmup):
            if done % c.critic_steps == 0:
                labels = gan.random_labels(c.critic_batch, draws, self._device)
                optimizer.zero_grad(set_to_none=True)
                frozen(critic, gan.learnable(generator, labels, draws), labels).mean().neg().backward()
                optimizer.step()

    def train(self, critic: nn.Module, records: DrawRecords, draws: torch.Generator) -> None:
        """Trains a critic against the current generator."""
        for _ in self._steps(critic, self._gan.generator, records, draws, self._config.critic_steps):
            pass

    def _steps(
        self,
        critic: nn.Module,
        generator: ResNetGenerator,
        records: DrawRecords,
        draws: torch.Generator,
        steps: int,
    ) -> Iterator[int]:
        """Takes steps of the critic; yields the number of steps so far after each."""
        optimizer = torch.optim.Adam(critic.parameters(), self._config.critic_lr, betas=BETAS)
        for done in range(1, steps + 1):
            optimizer.zero_grad(set_to_none=True)
            self._loss(critic, generator, records(self._config.critic_batch), draws).backward()
            optimizer.step()
            yield done

    def _loss(self, critic: nn.Module, generator: ResNetGenerator, batch: Batch, draws: torch.Generator) -> Tensor:
        """The Wasserstein loss with its penalties; generated images have the labels of the real ones."""
        images, labels = self._gan.real(batch)
        fakes = self._gan.fakes(generator, labels, draws)
        real = critic(images, labels)
        wasserstein = (critic(fakes, labels) - real).mean() + DRIFT * real.square().mean()
        return wasserstein + self._config.penalty * _gradient_penalty(critic, images, fakes, labels, draws)


def _gradient_penalty(
    critic: nn.Module, images: Tensor, fakes: Tensor, labels: Tensor, draws: torch.Generator
) -> Tensor:
    """Mean squared distance from 1 of the norm of the scores' gradient, between real and generated images."""
    share = torch.rand(len(images), 1, 1, 1, generator=draws).to(images.device)
    between = (share * images + (1 - share) * fakes).requires_grad_()
    (gradients,) = torch.autograd.grad(critic(between, labels).sum(), between, create_graph=True)
    return (gradients.flatten(1).norm(dim=1) - 1).square().mean()
