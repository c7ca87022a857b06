"""A pixel diffusion model of classes or captions: network, public and private training, sampling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from dpbench.core.config import values_of
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.specs import Batch, Conditions
from dpbench.methods.cores.diffusion.diffusion_conditions import DiffusionCondition
from dpbench.methods.cores.diffusion.diffusion_settings import DiffusionConfig, DiffusionSettings
from dpbench.methods.cores.private_training import train_privately
from dpbench.methods.cores.public_training import PublicTraining
from dpbench.models.edm import Denoiser, NoiseConfig, SamplerConfig
from dpbench.models.image_range import to_uint8, unit_images
from dpbench.privacy.private_data import PrivateData
from dpbench.training.loop import train
from dpbench.training.public_batches import Draw, PublicBatches
from dpbench.training.public_steps import PublicSteps
from dpbench.training.sharpness import SharpnessAwareSteps

LABEL_EMBEDDING = "network.unet.class_embedding.weight"
"""Name of the denoiser's label embedding; its last row is the null label."""


class DiffusionModel:
    """A U-Net denoiser in the EDM formulation (Karras et al., arXiv 2206.00364).

    Args:
        config: settings of the network, noise levels, private training and sampler.
        shape: (channels, height, width) of an image.
        condition: what images are conditioned on.

    Raises:
        ConfigError: the network does not fit the resolution.
    """

    def __init__(self, config: DiffusionConfig, shape: tuple[int, int, int], condition: DiffusionCondition):
        self.config = config
        self.shape = shape
        self.condition = condition
        self.denoiser = Denoiser(condition.pixel_unet(shape, config.unet), shape, condition.null, config.sigma_data)

    def train_privately(self, private: PrivateData, mechanism: str, run: RunContext) -> None:
        """Trains all weights by DP-SGD, spending the mechanism of this name."""
        model = self.denoiser.to(run.device).train()
        optimizer = torch.optim.Adam(model.parameters(), self.config.lr)

        def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
            return self._loss(cast(Denoiser, model), unit_images(batch), self.condition.of(batch), generator)

        title = "train the diffusion model (private)"
        train_privately(self.condition.ready(private), mechanism, model, loss, optimizer, self.config, run, title)

    def train_publicly(
        self, draw: Draw, batch: int, lr: float, steps: int, run: RunContext, title: str, radius: float = 0.0
    ) -> None:
        """Trains on public or already released images; no privacy cost.

        With a radius above 0, training minimises the loss at the worst weights within it; see `training.sharpness`.
        """
        model = self.denoiser.to(run.device).train()
        optimizer = torch.optim.Adam(model.parameters(), lr)

        def loss() -> Tensor:
            return self._loss(model, *draw(batch), run.generator).mean()

        stepper = (
            SharpnessAwareSteps(loss, optimizer, steps, run, radius)
            if radius
            else PublicSteps(loss, optimizer, steps, run)
        )
        train(stepper, model, optimizer, run, title)

    def start_from_public(
        self, public: ImageDataset, settings: PublicTraining, scatter: float, version: str, run: RunContext
    ) -> dict[str, Tensor]:
        """Pretrains on public images, or takes the weights from the cache, and loads them; see `load_public_weights`.

        Args:
            public: the public images.
            settings: of their training.
            scatter: see `load_public_weights`.
            version: the method's version.
            run: its cache holds the pretrained weights.

        Returns:
            The pretrained weights.
        """
        key = {"public": public.fingerprint, "version": version, **self.config.model_settings()}
        key |= {**values_of(settings, PublicTraining), **self.condition.key}
        condition = self.condition.of_public(public.spec)
        state = run.cache.get("diffusion", key, lambda g: self.pretrained(public, condition, settings, run, g))
        self.load_public_weights(state, scatter, run.generator)
        return state

    def pretrained(
        self,
        public: ImageDataset,
        condition: DiffusionCondition,
        settings: PublicTraining,
        run: RunContext,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """Weights of a new model trained on public images and their conditions; leaves this model unchanged."""
        model = DiffusionModel(self.config, self.shape, condition)
        batches = PublicBatches(public, settings.augmentation, run.device, generator)
        model.train_publicly(
            model.condition.drawn(batches),
            settings.public_batch,
            settings.public_lr,
            settings.public_steps,
            replace(run, generator=generator),
            "pretrain the diffusion model (public)",
        )
        return model.state_dict()

    def load_public_weights(self, state: Mapping[str, Tensor], scatter: float, generator: torch.Generator) -> None:
        """Loads pretrained weights; the private class embeddings are initialised at random.

        Args:
            state: `state_dict()` of a `DiffusionModel` with any number of classes.
            scatter: standard deviation of the private class embeddings around the mean of the public ones.
            generator: source of the random embeddings.
        """
        has_null = bool(self.config.label_dropout)
        started = self.condition.started(state, LABEL_EMBEDDING, scatter, has_null, generator)
        self.denoiser.load_state_dict(started)

    @torch.no_grad()
    def set_class_embeddings(self, embeddings: Tensor) -> None:
        """Replaces the class embeddings, [n_classes, d]; the embedding of the null label stays."""
        self.denoiser.get_parameter(LABEL_EMBEDDING)[: len(embeddings)].copy_(embeddings)

    def sample(self, conditions: Conditions, run: RunContext) -> Tensor:
        """One image per condition: uint8 [n, c, h, w]."""
        c = self.config
        y = self.condition.y(self.condition.asked(conditions), conditions.count, run.generator, run.device)
        with run.autocast():
            return to_uint8(self.denoiser.to(run.device).eval().sample(y, run.generator, sampler_config(c)))

    def state_dict(self) -> dict[str, Tensor]:
        """The denoiser's weights."""
        return dict(self.denoiser.state_dict())

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores `state_dict()`."""
        self.denoiser.load_state_dict(dict(state))

    def _loss(self, model: Denoiser, images: Tensor, given: Tensor | None, generator: torch.Generator) -> Tensor:
        """The denoising loss of each row, [b], with one condition, one noise level and one noise draw per row."""
        c, y = self.config, self.condition.y(given, len(images), generator, images.device)
        return model.loss(images, y, generator, NoiseConfig(c.p_mean, c.p_std), c.label_dropout)


def sampler_config(settings: DiffusionSettings) -> SamplerConfig:
    """The sampler of these settings."""
    s = settings
    churn = (s.churn, s.churn_range, s.churn_noise)
    return SamplerConfig(s.sampler, s.sampling_steps, s.sigma_min, s.guidance, *churn)
