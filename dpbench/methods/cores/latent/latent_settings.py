"""Settings of methods that train a latent diffusion model: autoencoder, network, training, sampler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from dpbench.core.config import option, values_of
from dpbench.core.errors import ConfigError
from dpbench.models.caption_settings import CaptionSettings
from dpbench.models.guidance import check_guidance
from dpbench.models.unet_config import UNetConfig
from dpbench.privacy.dp_sgd_settings import DPSGDSettings
from dpbench.training.augmentation import Augmentation

PUBLISHED: Mapping[str, Any] = MappingProxyType(
    {
        "autoencoder_channels": (128, 256),  # 32 pixels -> 3 x 16 x 16
        "latent_channels": 3,
        "autoencoder_steps": 80_000,  # 4 epochs of ImageNet's 1.28 million
        "autoencoder_batch": 64,
        "autoencoder_lr": 1e-4,  # ours
        "kl": 1e-9,  # 1e-6 for sums over 32 · 32 pixels; this loss is their mean
        "channels": (32, 64, 64),
        "layers": 2,
        "attention": 3,
        "context": 512,
        "prediction": "epsilon",
        "time_bias": 1.0,
        "public_steps": 200_000,  # 160 epochs
        "public_batch": 1024,
        "public_lr": 3e-4,  # ours
        "batch": 4096,
        "steps": 2197,  # 150 epochs of MNIST's 60,000
        "lr": 4.1e-3,  # base rate 1e-6 times the batch
        "clip": 1e-3,
        "ema": 0.0,
        "sampling_steps": 200,
        "eta": 1.0,
        "guidance": 1.0,
        "last_time": 0,
    }
)
"""DPImageBench's settings for 32 pixels (arXiv 2503.14681), without the perceptual and adversarial loss of the
autoencoder. The learning rate rises over the first 5% of the steps and then falls linearly."""


SHAPES: Mapping[str, Any] = MappingProxyType(
    {
        "autoencoder_channels": (8, 16, 32),
        "autoencoder_steps": 1200,
        "public_steps": 1500,
        "public_batch": 64,
        "batch": 512,
        "steps": 200,
        "sampling_steps": 20,
    }
)
"""Settings for `shapes`."""

SCENES: Mapping[str, Any] = MappingProxyType(
    {
        "augmentation": "none",  # captions name left and right
        "text_tokens": 24,  # words of the longest caption
        "autoencoder_channels": (8, 16, 32),
        "autoencoder_steps": 600,
        "attention": 1,
        "context": 64,
        "public_steps": 700,
        "public_batch": 64,
        "batch": 256,
        "steps": 60,
        "ema": 0.9,
        "sampling_steps": 12,
    }
)
"""Settings for the captioned scenes of 64 pixels; not tuned."""

GPU: Mapping[str, Any] = MappingProxyType(
    {
        "autoencoder_channels": (32, 64, 64),
        "autoencoder_steps": 5000,
        "autoencoder_batch": 128,
        "channels": (64, 128),
        "layers": 2,
        "context": 256,
        "public_steps": 6000,
        "public_batch": 256,
        "batch": 4096,
        "steps": 500,
        "views": 2,
        "ema": 0.98,
        "sampling_steps": 50,
    }
)
"""Settings for one data-centre GPU."""


@dataclass(frozen=True)
class AutoencoderSettings:
    """Settings of the autoencoder, which is trained on public images."""

    autoencoder_channels: tuple[int, ...] = option(
        (16, 32, 32), "channels of the autoencoder's levels, finest first; each after the first halves the side", low=4
    )
    latent_channels: int = option(4, "channels of a latent", low=1)
    kl: float = option(1e-6, "weight of the KL divergence of latents from the standard normal distribution", low=0)
    autoencoder_steps: int = option(2400, "public training steps of the autoencoder", low=1)
    autoencoder_batch: int = option(32, "public images per step of the autoencoder", low=1)
    autoencoder_lr: float = option(2e-3, "peak learning rate of the autoencoder (Adam)", above=0, high=10)
    augmentation: Augmentation = option("flip", "augmentation of public images")

    @property
    def factor(self) -> int:
        """Pixels of an image per position of a latent, along one side."""
        return int(2 ** (len(self.autoencoder_channels) - 1))


@dataclass(frozen=True)
class PublicModelSettings(AutoencoderSettings):
    """Everything that the public part depends on, and nothing else."""

    channels: tuple[int, ...] = option((32, 64), "channels of the U-Net's levels, finest first", low=1)
    layers: int = option(1, "residual blocks per level of the U-Net", low=1)
    attention: int = option(2, "number of coarsest levels with spatial transformers", low=0)
    context: int = option(128, "size of the vector of a class or word that cross-attention sees", low=1)
    prediction: Literal["epsilon", "v_prediction"] = option(
        "v_prediction", "prediction of the U-Net; epsilon as published, which says little about x0 at large noise"
    )
    time_bias: float = option(
        2.0,
        "training time steps have density t^(time_bias - 1); 1 (uniform) as published, 2: more noise",
        above=0,
    )
    label_dropout: float = option(
        0.1, "probability of dropping a label or caption in training; must be positive for guidance", low=0, below=1
    )
    public_steps: int = option(2500, "public pretraining steps of the U-Net", low=1)
    public_batch: int = option(128, "public images per pretraining step", low=1)
    public_lr: float = option(1e-3, "peak learning rate of public pretraining (Adam)", above=0, high=10)

    @property
    def unet(self) -> UNetConfig:
        """Sizes of the U-Net, without gradient checkpointing."""
        return UNetConfig(self.channels, self.layers, self.attention)

    def side(self, resolution: int) -> int:
        """Height and width of the latent of an image.

        Raises:
            ConfigError: the networks do not fit the resolution.
        """
        if resolution % self.factor:
            raise ConfigError(
                f"{resolution} pixels are not a multiple of {self.factor}, the autoencoder's factor; choose another "
                "resolution, or set fewer autoencoder_channels"
            )
        self.unet.check_divides(resolution // self.factor)
        return resolution // self.factor


@dataclass(frozen=True)
class LatentConfig(CaptionSettings, PublicModelSettings, DPSGDSettings):
    """Settings of private training, the latent diffusion model and its sampler."""

    checkpoint: str = option(
        "",
        "folder or hub repository of a diffusers pipeline, instead of pretraining; its sizes and prediction are used",
    )
    batch: int = option(1024, "expected records per private step (Poisson)", low=1)
    steps: int = option(250, "private steps", low=1)
    lr: float = option(2e-3, "peak learning rate of DP-AdamW", above=0, high=10)
    clip: float = option(1e-3, "clipping norm of a record's gradient; small enough to clip every record", above=0)
    ema: float = option(0.95, "decay of the weights' moving average over private steps", low=0, below=1)
    scatter: float = option(
        1.0, "spread of the initial private class embeddings around the public mean; 0: identical", low=0
    )
    sampling_steps: int = option(25, "network evaluations per image", low=1, high=1000)
    eta: float = option(0.0, "fresh noise per sampling step; 0: none, 1: as in DDPM", low=0, high=1)
    guidance: float = option(1.4, "weight of classifier-free guidance; 1 disables it", low=0)
    last_time: int = option(0, "last time step of sampling, of 1000; more than 0 after short training", low=0, high=900)

    def __post_init__(self) -> None:
        check_guidance(self.guidance, self.label_dropout)
        if self.sampling_steps > 300 and 1000 % self.sampling_steps:
            raise ConfigError("more than 300 sampling_steps must divide 1000: set 500 or 1000")
        if any(c % 2 for c in self.autoencoder_channels):
            raise ConfigError(f"autoencoder_channels must be even numbers, not {self.autoencoder_channels}")
        _ = self.unet  # the constructor checks the sizes

    def public_settings(self) -> PublicModelSettings:
        """The settings of the public part alone, which methods with the same public part share."""
        return PublicModelSettings(**values_of(self, PublicModelSettings))

    def autoencoder_settings(self) -> AutoencoderSettings:
        """The settings of the autoencoder alone."""
        return AutoencoderSettings(**values_of(self, AutoencoderSettings))
