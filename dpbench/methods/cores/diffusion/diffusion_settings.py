"""Settings of methods that train a pixel diffusion model: network, training, sampler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

from dpbench.core.config import option
from dpbench.core.errors import ConfigError
from dpbench.models.guidance import check_guidance
from dpbench.models.unet_config import UNetConfig
from dpbench.privacy.dp_sgd_settings import DPSGDSettings

PUBLISHED: Mapping[str, Any] = MappingProxyType(
    {
        "channels": (64, 128),
        "layers": 2,
        "attention": 1,
        "patch": 1,
        "sigma_data": 3**-0.5,
        "p_mean": -1.2,
        "p_std": 1.2,
        "label_dropout": 0.1,
        "batch": 4096,
        "steps": 4395,  # 300 epochs of MNIST's 60,000
        "views": 32,
        "lr": 3e-4,
        "clip": 1.0,
        "schedule": "constant",
        "ema": 0.999,
        "ema_warmup": True,
        "sampler": "heun",
        "sampling_steps": 1999,  # 1000 noise levels
        "sigma_min": 0.002,
        "guidance": 1.0,
        "churn": 10.0,
        "churn_range": (0.025, 50.0),
    }
)
"""DPDM's settings for MNIST (arXiv 2210.09929), also used by the later methods; the network has about the same size.

The sampler is that of DPImageBench (arXiv 2503.14681) for accuracy at ε = 10. For FID it has a churn of 50, at noise
levels above 0.05, and a guidance of 1.25.
"""


ONE_GPU: Mapping[str, Any] = MappingProxyType(
    {
        "channels": (64, 128),
        "attention": 1,
        "patch": 2,
        "batch": 1024,
        "steps": 500,
        "views": 2,
        "lr": 2e-3,
        "clip": 0.1,
        "ema": 0.99,
        "engine": "opacus",  # the fastest on a GPU for U-Nets of this size; see results/reference/gpu.md
        "sampling_steps": 32,
        "sigma_min": 0.05,
    }
)
"""Settings for ten minutes on a GPU: 2.8 million weights, a million private gradients."""


@dataclass(frozen=True)
class DiffusionSettings:
    """Settings of a pixel diffusion model and its sampler."""

    channels: tuple[int, ...] = option((32, 32), "channels of the U-Net's levels, finest first", low=1)
    layers: int = option(1, "residual blocks per level of the U-Net", low=1)
    attention: int = option(0, "number of coarsest levels with self-attention", low=0)
    patch: int = option(4, "side of the pixel patches folded into the U-Net's input channels; 1 as published", low=1)
    sigma_data: float = option(
        0.2,
        "data standard deviation assumed by the preconditioning; below the true one, the network predicts the image "
        "rather than the noise at more noise levels",
        above=0,
    )
    p_mean: float = option(
        1.2,
        "mean of ln σ for the training noise levels; -1.2 as published, higher for short training",
        low=-10,
        high=10,
    )
    p_std: float = option(1.4, "standard deviation of ln σ for the training noise levels", above=0, high=10)
    label_dropout: float = option(
        0.1, "probability of dropping a label in training; must be positive for guidance", low=0, below=1
    )
    sampler: Literal["ddim", "heun", "dpm-solver"] = option("dpm-solver", "solver of the sampling equation")
    sampling_steps: int = option(16, "network evaluations per image", low=1)
    sigma_min: float = option(
        0.4, "smallest noise level; 0.002 as published, larger after short training", above=0, below=80
    )
    guidance: float = option(1.4, "weight of classifier-free guidance; 1 disables it", low=0)
    churn: float = option(0.0, "S_churn: amount of fresh noise during sampling; sampler=ddim or heun", low=0)
    churn_range: tuple[float, float] = option((0.05, 50.0), "noise levels between which churn acts", low=0)
    churn_noise: float = option(1.0, "S_noise: standard deviation of the fresh noise of churn", above=0)

    def __post_init__(self) -> None:
        check_guidance(self.guidance, self.label_dropout)
        if self.churn and self.sampler == "dpm-solver":
            raise ConfigError("churn works with sampler=ddim and sampler=heun; dpm-solver is deterministic")
        _ = self.unet  # the constructor checks the sizes

    @property
    def unet(self) -> UNetConfig:
        """Sizes of the U-Net."""
        return UNetConfig(self.channels, self.layers, self.attention, self.patch)

    def model_settings(self) -> dict[str, Any]:
        """The settings that pretrained weights depend on, in addition to those of `PublicTraining`."""
        names = ("channels", "layers", "attention", "patch", "sigma_data", "p_mean", "p_std", "label_dropout")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class DiffusionConfig(DiffusionSettings, DPSGDSettings):
    """Settings of private training, the diffusion model and its sampler."""

    batch: int = option(1024, "expected records per private step (Poisson)", low=1)
    steps: int = option(500, "private steps", low=1)
    lr: float = option(4e-3, "peak learning rate of DP-Adam", above=0, high=10)
    clip: float = option(0.1, "clipping norm of a record's gradient; small enough to clip nearly every record", above=0)
    ema: float = option(
        0.98, "decay of the exponential moving average of the weights, per private step", low=0, below=1
    )

    @property
    def unet(self) -> UNetConfig:
        """Sizes of the U-Net, with gradient checkpointing if it is set."""
        return replace(super().unet, checkpointing=self.gradient_checkpointing)
