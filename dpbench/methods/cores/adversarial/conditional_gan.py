"""The generator of a GAN and its uses: fakes for a discriminator, images to learn from, samples."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dpbench.core.context import RunContext
from dpbench.core.specs import Batch, Conditions, DatasetSpec
from dpbench.methods.cores.adversarial.gan_settings import GANSettings
from dpbench.models.gan_discriminator import ResNetDiscriminator
from dpbench.models.gan_generator import ResNetGenerator
from dpbench.models.image_range import to_uint8, unit_images

SETTLING = 20
"""Batches over which the generator's batch statistics are averaged after training."""


class ConditionalGAN:
    """A class-conditional generator, and discriminators for it.

    Args:
        config: sizes and training settings.
        spec: the dataset's public declaration.

    Attributes:
        generator: the network that is kept.

    Raises:
        ConfigError: the networks do not fit the resolution.
    """

    def __init__(self, config: GANSettings, spec: DatasetSpec):
        self.config = config
        self.spec = spec
        self.labels = max(1, spec.n_classes)
        self.generator = self.new_generator()

    def new_generator(self) -> ResNetGenerator:
        """A generator with random weights."""
        return ResNetGenerator(self.spec.shape, self.labels, self.config.networks)

    def new_discriminator(self) -> ResNetDiscriminator:
        """A discriminator with random weights."""
        return ResNetDiscriminator(self.spec.shape, self.labels, self.config.networks)

    def real(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The images of a batch in [-1, 1], and their labels on the same device (zeros for data without classes)."""
        images = unit_images(batch)
        return images, batch.class_rows.to(images.device)

    def random_labels(self, count: int, draws: torch.Generator, device: torch.device | str) -> Tensor:
        """Labels drawn uniformly from `draws` (CPU): int64 [count] on a device."""
        return torch.randint(self.labels, (count,), generator=draws).to(device)

    def learnable(self, network: ResNetGenerator, labels: Tensor, draws: torch.Generator) -> Tensor:
        """Generated images with a graph, for a step of the generator: [b, c, h, w] in [-1, 1].

        Args:
            network: the generator.
            labels: labels of the images, int64 [b].
            draws: source of the latent codes (CPU).
        """
        return self._generated(network.train(), labels, draws)

    @torch.no_grad()
    def fakes(self, network: ResNetGenerator, labels: Tensor, draws: torch.Generator) -> Tensor:
        """`learnable` without a graph, for a discriminator step: an image depends only on its own label and code."""
        return self._generated(network.eval(), labels, draws)

    def _generated(self, network: ResNetGenerator, labels: Tensor, draws: torch.Generator) -> Tensor:
        images: Tensor = network(self._codes(len(labels), draws).to(labels.device), labels)
        return images

    def _codes(self, count: int, draws: torch.Generator) -> Tensor:
        shape = count, self.config.code
        if self.config.latent == "bits":
            return torch.randint(2, shape, generator=draws).float()
        return torch.randn(shape, generator=draws)

    def settle(self, run: RunContext) -> None:
        """Measures the batch statistics of the final weights, which are a moving average, on generated images."""
        norms = [m for m in self.generator.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        for norm in norms:
            norm.reset_running_stats()
        momentum = {norm: norm.momentum for norm in norms}
        with torch.no_grad(), run.autocast():
            for done in range(SETTLING):
                for norm in norms:
                    norm.momentum = 1 / (done + 1)
                labels = self.random_labels(self.config.generator_batch, run.generator, run.device)
                self.learnable(self.generator, labels, run.generator)
        for norm in norms:
            norm.momentum = momentum[norm]

    @torch.inference_mode()
    def sample(self, conditions: Conditions, run: RunContext) -> Tensor:
        """One image per condition: uint8 [n, c, h, w]."""
        codes = self._codes(conditions.count, run.generator).to(run.device)
        with run.autocast():
            return to_uint8(self.generator.to(run.device).eval()(codes, conditions.class_rows.to(run.device)))

    def state_dict(self) -> dict[str, Tensor]:
        """The generator's weights and batch statistics."""
        return dict(self.generator.state_dict())

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores `state_dict()`."""
        self.generator.load_state_dict(dict(state))
