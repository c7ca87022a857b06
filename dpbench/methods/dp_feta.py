"""DP-FETA (Li et al., "From Easy to Hard", arXiv 2504.01395): a curriculum that starts with noisy central images.

A central image is the mean of a random subset of one class: easy to learn and cheap to release. The diffusion model is
warmed up on a few central images before DP-SGD training on the private images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from dpbench.core.config import option
from dpbench.core.context import RunContext
from dpbench.core.method import Preset
from dpbench.core.specs import DatasetSpec, Request
from dpbench.methods.cores.diffusion import DiffusionMethod
from dpbench.methods.cores.diffusion_settings import ONE_GPU, PUBLISHED, DiffusionConfig
from dpbench.privacy.mechanisms import NoisySum
from dpbench.privacy.plan import Plan

if TYPE_CHECKING:
    from dpbench.privacy.private_data import PrivateData

CENTRAL = "central images"
"""Name of the mechanism that releases the central images."""


@dataclass(frozen=True)
class DPFETAConfig(DiffusionConfig):
    """Settings of DP-FETA."""

    central_images: int = option(5, "noisy central images per class", low=1)
    central_rate: float = option(0.1, "Poisson sampling rate of each central image", above=0, high=1)
    central_noise: float = option(5.0, "noise multiplier of each release (one central image per class)", above=0)
    warmup_steps: int = option(500, "training steps on the central images (post-processing)", low=1)
    warmup_batch: int = option(64, "central images per warm-up step", low=1)
    warmup_lr: float = option(1e-3, "peak learning rate of the warm-up (Adam)", above=0, high=10)
    augmentation: Literal["none", "flip"] = option("none", "augmentation of central images")


class DPFETA(DiffusionMethod[DPFETAConfig]):
    """A diffusion model warmed up on noisy central images, then trained by DP-SGD (DP-FETA).

    Two mechanisms share the budget: noisy per-class sums of the images of random subsets, and DP-SGD. The sums are
    divided by the expected number of records per class, not by the number drawn.
    """

    Config = DPFETAConfig
    version = "1"
    track = "none"
    paper = "arXiv 2504.01395"
    presets: ClassVar[Mapping[str, Preset]] = {
        "small": Preset({"views": 2}),
        "small/mnist": Preset(tuning="hold-out of mnist train"),
        "small/shapes": Preset(
            {"batch": 512, "steps": 120, "warmup_steps": 200, "augmentation": "flip", "sampling_steps": 10}
        ),
        "gpu": Preset(ONE_GPU),
        "paper": Preset(
            {
                **PUBLISHED,
                "warmup_steps": 2000,  # equals epochs: one batch holds all 50 central images of MNIST
                "warmup_batch": 50,
                "warmup_lr": 3e-4,
            }
        ),
    }

    @classmethod
    def plan(cls, config: DPFETAConfig, spec: DatasetSpec, request: Request) -> Plan:
        """The central images with fixed noise, and DP-SGD with the remaining budget."""
        central = NoisySum(
            name=CENTRAL,
            clip=math.sqrt(math.prod(spec.shape)),  # largest norm of an image in [-1, 1]
            noise_multiplier=config.central_noise,
            rate=config.central_rate,
            count=config.central_images,
        )
        return Plan(central, *super().plan(config, spec, request).mechanisms)

    def fit(self, private: PrivateData, run: RunContext) -> None:
        """Warms up on the central images, then trains by DP-SGD; see `Method.fit`."""
        from dpbench.methods.cores.central_images import CentralImages

        c = self.config
        central = CentralImages.release(private, CENTRAL, c.central_rate, c.central_images)
        draw, title = central.batches(c.augmentation, run), "warm up on central images (post-processing)"
        self.model.train_publicly(draw, c.warmup_batch, c.warmup_lr, c.warmup_steps, run, title)
        super().fit(private, run)
