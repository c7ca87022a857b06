"""Settings of the warm-up on central images (DP-FETA, arXiv 2504.01395), and the query that releases them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from dpbench.core.config import option
from dpbench.core.errors import ConfigError
from dpbench.core.specs import DatasetSpec
from dpbench.privacy.mechanisms.mechanism import NoisySum
from dpbench.training.augmentation import Augmentation

CENTRAL = "central images"
"""Name of the mechanism that releases the central images."""

PUBLISHED_WARM_UP: Mapping[str, Any] = MappingProxyType(
    {
        "central_images": 5,
        "central_rate": 0.1,  # B = 6000 of MNIST's 60,000
        "central_noise": 5.0,
        "central_clip": 1.0,
        "reduction": 2,
        "warmup_steps": 2000,  # equals epochs: one batch holds all 50 central images of MNIST
        "warmup_batch": 50,
        "warmup_lr": 3e-4,
        "augmentation": "rand-augment",
    }
)
"""DP-FETA's settings for MNIST at ε = 10 (arXiv 2504.01395)."""

ON_HANDWRITING: Mapping[str, Any] = MappingProxyType({"augmentation": "strokes", "central_clip": 0.3})
"""For light strokes on black: their norm is small, and RandAugment would amplify the noise of the background."""


@dataclass(frozen=True)
class WarmUpSettings:
    """Settings of the central images and of the training on them."""

    central_images: int = option(5, "noisy central images per class", low=1)
    central_rate: float = option(0.1, "Poisson sampling rate of each central image", above=0, high=1)
    central_noise: float = option(5.0, "noise multiplier of each release (one central image per class)", above=0)
    central_clip: float = option(
        0.5, "clipping norm of a reduced image in [0, 1], as a share of the largest norm", above=0, high=1
    )
    reduction: int = option(2, "central images are released at 1/reduction of the resolution; 4 at 64 pixels", low=1)
    warmup_steps: int = option(500, "training steps on the central images (post-processing)", low=1)
    warmup_batch: int = option(64, "central images per warm-up step", low=1)
    warmup_lr: float = option(1e-3, "peak learning rate of the warm-up (Adam)", above=0, high=10)
    augmentation: Augmentation = option("rand-augment", "augmentation of central images")

    def central_query(self, spec: DatasetSpec) -> NoisySum:
        """The release of the per-class sums of reduced images.

        Sensitivity: a record contributes its reduced image in [0, 1] to the row of its class, and 0 elsewhere. The
        largest norm of such an image is √(channels) · side, so half the resolution halves the clip and with it the
        noise per pixel.

        Raises:
            ConfigError: the reduction does not divide the resolution.
        """
        if spec.resolution % self.reduction:
            raise ConfigError(f"reduction {self.reduction} does not divide {spec.resolution} pixels; set a divisor")
        largest = math.sqrt(spec.channels) * spec.resolution / self.reduction
        return NoisySum(
            name=CENTRAL,
            clip=self.central_clip * largest,
            noise_multiplier=self.central_noise,
            rate=self.central_rate,
            count=self.central_images,
        )
