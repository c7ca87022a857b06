"""A latent diffusion model of classes or captions: networks, public and private training, sampling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import cast

import torch
from torch import Tensor, nn

from dpbench.core.cache import weights_hash
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.specs import Batch, Conditions
from dpbench.methods.cores.diffusion.diffusion_conditions import DiffusionCondition
from dpbench.methods.cores.latent.latent_sampler import sampled_images
from dpbench.methods.cores.latent.latent_settings import LatentConfig
from dpbench.methods.cores.private_training import train_privately
from dpbench.models.autoencoder import Autoencoder, kl_autoencoder
from dpbench.models.class_unet import CLASSES
from dpbench.models.condition_unet import ConditionUNet, condition_unet
from dpbench.models.ddpm import DDPM, DDIMConfig, latent_diffusion_schedule
from dpbench.models.image_range import unit_images
from dpbench.models.pretrained.pipelines import LatentPipeline, load_pipeline
from dpbench.privacy.private_data import PrivateData
from dpbench.training.loop import train
from dpbench.training.public_batches import PublicBatches
from dpbench.training.public_steps import PublicSteps

MEASURED_IMAGES = 1_000
"""Number of public images used to standardise latents."""


class LatentDiffusion:
    """A U-Net that denoises the latents of an autoencoder (Rombach et al., arXiv 2112.10752).

    Args:
        config: settings of the networks, private training and sampler.
        shape: (channels, height, width) of an image.
        condition: what images are conditioned on.

    Attributes:
        autoencoder: public.
        unet: pretrained on public images, finetuned on private ones.

    Raises:
        ConfigError: the networks do not fit the resolution, or the checkpoint is not a latent diffusion model, or not
            one that takes these conditions.
        NotInstalled: there is no such checkpoint.
    """

    def __init__(self, config: LatentConfig, shape: tuple[int, int, int], condition: DiffusionCondition):
        self.config = config
        self.shape = shape
        self.condition = condition
        parts = load_pipeline(config.checkpoint, shape[1]) if config.checkpoint else self._untrained()
        self.autoencoder = Autoencoder(parts.autoencoder, shape[0])
        self.unet = self._conditioned(parts.unet, condition)
        self.diffusion = DDPM(parts.schedule, config.time_bias)

    def _untrained(self) -> LatentPipeline:
        schedule = latent_diffusion_schedule(self.config.prediction)
        return LatentPipeline(self._new_autoencoder(), self._new_unet(), schedule)

    def _new_autoencoder(self) -> nn.Module:
        return kl_autoencoder(self.shape[0], self.config.latent_channels, self.config.autoencoder_channels)

    def _new_unet(self) -> nn.Module:
        c = self.config
        return condition_unet(c.latent_channels, c.side(self.shape[1]), c.unet, c.context)

    def _conditioned(self, unet: nn.Module, condition: DiffusionCondition) -> ConditionUNet:
        network = condition.latent_unet(unet)
        if self.config.gradient_checkpointing:
            network.unet.enable_gradient_checkpointing()
        return network

    def load_checkpoint(self, run: RunContext) -> None:
        """Initialises the class embeddings, if any; all other weights are already the checkpoint's."""
        self._start(self.unet.published_state(), run)

    def prepare(self, public: ImageDataset, run: RunContext) -> None:
        """Trains the autoencoder, then the U-Net, on public images and their conditions, if any; both are cached."""
        c, source = self.config, {"public": public.fingerprint}
        key = source | asdict(c.autoencoder_settings())
        state = run.cache.get("autoencoder", key, lambda generator: self._trained_autoencoder(public, run, generator))
        self.autoencoder.load_state_dict(state)
        key = source | asdict(c.public_settings()) | dict(self.condition.key) | {"autoencoder": weights_hash(state)}
        state = run.cache.get("latent-diffusion", key, lambda generator: self._pretrained_unet(public, run, generator))
        self._start(state, run)

    def _start(self, public: Mapping[str, Tensor], run: RunContext) -> None:
        """Loads public weights of the U-Net; the private class embeddings are initialised at random."""
        scatter, has_null = self.config.scatter, bool(self.config.label_dropout)
        self.unet.load_state_dict(self.condition.started(public, CLASSES, scatter, has_null, run.generator))

    def _trained_autoencoder(
        self, public: ImageDataset, run: RunContext, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Weights of a new autoencoder trained on public images."""
        c, model = self.config, Autoencoder(self._new_autoencoder(), self.shape[0]).to(run.device).train()
        batches = PublicBatches(public, c.augmentation, run.device, generator)
        optimizer = torch.optim.Adam(model.parameters(), c.autoencoder_lr)

        def loss() -> Tensor:
            images, _ = batches.draw(c.autoencoder_batch)
            return model.loss(images, c.kl)

        steps = PublicSteps(loss, optimizer, c.autoencoder_steps, run)
        train(steps, model, optimizer, replace(run, generator=generator), "train the autoencoder (public)")
        model.eval().measure(batches.collect(MEASURED_IMAGES))
        return dict(model.state_dict())

    def _pretrained_unet(self, public: ImageDataset, run: RunContext, generator: torch.Generator) -> dict[str, Tensor]:
        """Weights of a new U-Net trained on public images and their conditions."""
        c, condition = self.config, self.condition.of_public(public.spec)
        model = self._conditioned(self._new_unet(), condition).to(run.device).train()
        autoencoder = self.autoencoder.to(run.device).eval()
        draw = condition.drawn(PublicBatches(public, c.augmentation, run.device, generator))
        optimizer = torch.optim.Adam(model.parameters(), c.public_lr)

        def loss() -> Tensor:
            images, given = draw(c.public_batch)
            with torch.no_grad():
                latents = autoencoder.encode(images)
            return self._loss(model, latents, condition.y(given, len(images), generator, run.device), generator).mean()

        steps = PublicSteps(loss, optimizer, c.public_steps, run)
        train(
            steps, model, optimizer, replace(run, generator=generator), "pretrain the latent diffusion model (public)"
        )
        return dict(model.state_dict())

    def latents(self, private: PrivateData, run: RunContext) -> PrivateData:
        """The records with their latents in place of their images, and with tokens in place of captions."""
        autoencoder = self.autoencoder.to(run.device).eval()
        return self.condition.ready(private.derive(lambda batch: autoencoder.encode(unit_images(batch))))

    def train_privately(self, latents: PrivateData, mechanism: str, run: RunContext) -> None:
        """Trains the U-Net's parameters with `requires_grad` by DP-SGD, spending the mechanism of this name.

        Args:
            latents: see `latents`.
            mechanism: name of the mechanism in the plan.
            run: device, precision and progress.
        """
        model = self.unet.to(run.device).train()
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], self.config.lr)
        title = "finetune the latent diffusion model (private)"
        train_privately(latents, mechanism, model, self.loss, optimizer, self.config, run, title)

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """The denoising loss of each record's latent: [b]."""
        assert batch.derived is not None
        y = self.condition.y(self.condition.of(batch), len(batch.derived), generator, batch.derived.device)
        return self._loss(cast(ConditionUNet, model), batch.derived, y, generator)

    def _loss(self, model: ConditionUNet, latents: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        return self.diffusion.loss(model, latents, y, generator, self.config.label_dropout)

    def sample(self, conditions: Conditions, run: RunContext) -> Tensor:
        """One image per condition: uint8 [n, c, h, w]."""
        c, unet, autoencoder = self.config, self.unet.to(run.device).eval(), self.autoencoder.to(run.device).eval()
        y = self.condition.y(self.condition.asked(conditions), conditions.count, run.generator, run.device)
        config = DDIMConfig(c.sampling_steps, c.eta, c.guidance, c.last_time)
        with run.autocast():
            return sampled_images(self.diffusion, unet, autoencoder, y, self.shape[1], config, run.generator)

    def state_dict(self) -> dict[str, Tensor]:
        """The weights of both networks."""
        return dict(self._networks().state_dict())

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores `state_dict()`."""
        self._networks().load_state_dict(dict(state))

    def _networks(self) -> nn.ModuleDict:
        return nn.ModuleDict({"autoencoder": self.autoencoder, "unet": self.unet})
