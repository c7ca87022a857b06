"""Public generators that are prompted with a vector: one trained on public images, or a pipeline of diffusers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.errors import ConfigError
from dpbench.core.method import required
from dpbench.methods.cores.diffusion.diffusion_model import sampler_config
from dpbench.methods.cores.inversion.inversion_settings import InversionConfig
from dpbench.methods.cores.latent.latent_sampler import sampled_images
from dpbench.models.autoencoder import Autoencoder
from dpbench.models.ddpm import DDPM, DDIMConfig
from dpbench.models.edm import Denoiser, NoiseConfig
from dpbench.models.embedding_unet import EmbeddingUNet
from dpbench.models.image_range import to_uint8
from dpbench.models.pretrained.pipelines import load_pipeline
from dpbench.training.loop import train
from dpbench.training.public_batches import PublicBatches
from dpbench.training.public_steps import PublicSteps

TABLE = "known"
"""Name of the vectors that a generator was trained with."""


class PromptedGenerator(ABC, nn.Module):
    """A frozen diffusion model of images given a vector. None of it is trained on private images.

    Attributes:
        known: [k, d], vectors of norm 1 from which an inversion may start.
        radius: norm of the vectors that it is prompted with.
    """

    known: Tensor
    radius: float

    @abstractmethod
    def prepare(self, public: ImageDataset | None, run: RunContext) -> None:
        """Trains the generator on public images, if it is not trained already.

        Raises:
            ConfigError: there are no suitable public images.
        """

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Loads a `state_dict()` with any number of known vectors."""
        self.known = state[TABLE]
        self.load_state_dict(dict(state))

    @abstractmethod
    def clean(self, images: Tensor) -> Tensor:
        """Float images [b, c, h, w] in [-1, 1] -> the data that noise is added to: the images or their latents."""

    @abstractmethod
    def loss(self, clean: Tensor, directions: Tensor, generator: torch.Generator) -> Tensor:
        """The denoising loss of each row, [b], given vectors of norm 1, [b, d]; noise comes from the generator."""

    @abstractmethod
    def sample(self, directions: Tensor, run: RunContext) -> Tensor:
        """One image per vector of norm 1, [n, d]: uint8 [n, c, h, w]."""


class TrainedGenerator(PromptedGenerator):
    """A pixel diffusion model trained on public images, with one vector of norm 1 per class.

    Args:
        config: settings of network, training and sampler.
        shape: (channels, height, width) of an image.
    """

    radius = 1.0

    def __init__(self, config: InversionConfig, shape: tuple[int, int, int]):
        super().__init__()
        self.config = config
        self.denoiser = Denoiser(EmbeddingUNet(shape, config.condition, config.unet), shape, 0, config.sigma_data)
        self.register_buffer(TABLE, _one_direction(config.condition))

    def prepare(self, public: ImageDataset | None, run: RunContext) -> None:
        """See `PromptedGenerator.prepare`; the weights are cached."""
        public = required(public)
        if public.spec.n_classes < 2:
            raise ConfigError(f"dpagg-ti needs public images with classes, and '{public.spec.name}' has none")
        key = {"public": public.fingerprint, **self.config.public_settings()}
        state = run.cache.get("prompted-generator", key, lambda generator: self._trained(public, run, generator))
        self.restore(state)

    def _trained(self, public: ImageDataset, run: RunContext, generator: torch.Generator) -> dict[str, Tensor]:
        """The weights of a new generator trained on public images and labels, with the class vectors."""
        c, new = self.config, TrainedGenerator(self.config, self.denoiser.shape)
        model = new.denoiser.to(run.device).train()
        table = nn.Parameter(torch.randn(public.spec.n_classes, c.condition, generator=generator).to(run.device))
        batches = PublicBatches(public, c.augmentation, run.device, generator)
        optimizer = torch.optim.Adam([*model.parameters(), table], c.public_lr)

        def loss() -> Tensor:
            images, labels = batches.draw(c.public_batch)
            kept = torch.rand(len(images), 1, generator=generator) >= c.label_dropout
            given = torch.where(kept.to(images.device), F.normalize(table[labels]), 0)
            return model.loss(images, given, generator, self._levels).mean()

        steps = PublicSteps(loss, optimizer, c.public_steps, run)
        trained = nn.ModuleDict({"denoiser": model})
        trained.register_parameter(TABLE, table)  # so that checkpoints have the class vectors as well
        train(steps, trained, optimizer, replace(run, generator=generator), "train the prompted generator (public)")
        new.known = F.normalize(table.detach())
        return dict(new.state_dict())

    @property
    def _levels(self) -> NoiseConfig:
        return NoiseConfig(self.config.p_mean, self.config.p_std)

    def clean(self, images: Tensor) -> Tensor:
        """See `PromptedGenerator.clean`: the images."""
        return images

    def loss(self, clean: Tensor, directions: Tensor, generator: torch.Generator) -> Tensor:
        """See `PromptedGenerator.loss`."""
        return self.denoiser.loss(clean, directions, generator, self._levels)

    def sample(self, directions: Tensor, run: RunContext) -> Tensor:
        """See `PromptedGenerator.sample`."""
        return to_uint8(self.denoiser.sample(directions, run.generator, sampler_config(self.config)))


class PipelineGenerator(PromptedGenerator):
    """A stored latent diffusion pipeline of diffusers, whose cross-attention sees the vector as one word.

    Its text encoder is not read, so an inversion starts from random vectors, and guidance is against the zero vector.

    Args:
        config: settings of the sampler, and the name of the pipeline.
        shape: (channels, height, width) of an image.

    Raises:
        ConfigError: the pipeline's network has no cross-attention, or does not fit the resolution.
        NotInstalled: there is no such pipeline.
    """

    def __init__(self, config: InversionConfig, shape: tuple[int, int, int]):
        super().__init__()
        self.config = config
        self.shape = shape
        parts = load_pipeline(config.checkpoint, shape[1])
        unet = cast(Any, parts.unet)
        width = getattr(unet.config, "cross_attention_dim", None)
        if not isinstance(width, int):
            raise ConfigError(f"{config.checkpoint} has no cross-attention, so it cannot be prompted with a vector")
        self.autoencoder = Autoencoder(parts.autoencoder, shape[0])
        self.unet = _OneWord(unet)
        self._diffusion = DDPM(parts.schedule)
        self.radius = float(width) ** 0.5  # norm of a vector after layer normalisation, which text encoders end with
        self.register_buffer(TABLE, _one_direction(width))

    def prepare(self, public: ImageDataset | None, run: RunContext) -> None:
        """See `PromptedGenerator.prepare`: already trained."""

    def clean(self, images: Tensor) -> Tensor:
        """See `PromptedGenerator.clean`: latents."""
        return self.autoencoder.encode(images)

    def loss(self, clean: Tensor, directions: Tensor, generator: torch.Generator) -> Tensor:
        """See `PromptedGenerator.loss`."""
        return self._diffusion.loss(self.unet, clean, self.radius * directions, generator, 0.0)  # type: ignore[arg-type]

    def sample(self, directions: Tensor, run: RunContext) -> Tensor:
        """See `PromptedGenerator.sample`."""
        unet, y, side = cast(Any, self.unet), self.radius * directions, self.shape[1]
        config = DDIMConfig(self.config.sampling_steps, 0.0, self.config.guidance)
        return sampled_images(self._diffusion, unet, self.autoencoder, y, side, config, run.generator)


def _one_direction(size: int) -> Tensor:
    """The same random vector of norm 1 in every call: [1, size]."""
    return F.normalize(torch.randn(1, size, generator=torch.Generator().manual_seed(0)))


class _OneWord(nn.Module):
    """F(x, time step, vector) of a `UNet2DConditionModel`; the null condition is the zero vector."""

    null = 0

    def __init__(self, unet: Any):
        super().__init__()
        self.unet = unet

    def forward(self, x: Tensor, time: Tensor | int, vectors: Tensor) -> Tensor:
        output: Tensor = self.unet(x, time, encoder_hidden_states=vectors[:, None]).sample
        return output


def prompted_generator(config: InversionConfig, shape: tuple[int, int, int]) -> PromptedGenerator:
    """The checkpoint's generator if the settings name one, else a generator to train.

    Raises:
        ConfigError, NotInstalled: see `PipelineGenerator`.
    """
    return (PipelineGenerator if config.checkpoint else TrainedGenerator)(config, shape)
