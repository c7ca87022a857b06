"""A warm-up on noisy class-central coarse images, as DP-FETA does in pixels (arXiv 2504.01395); not in the paper.

One noisy sum per class of all LL bands: n is large and the band small, so that the mean of a class is nearly free.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from dpbench.core.config import option
from dpbench.core.specs import Batch, DatasetSpec
from dpbench.methods.wavelet.scale_tokens import Scales
from dpbench.models.haar import coarse
from dpbench.privacy.mechanisms import NoisySum
from dpbench.privacy.private_data import PrivateData
from dpbench.training.public import unit_images

CENTRAL = "central images"
"""Name of the mechanism."""


@dataclass(frozen=True)
class CentralSettings:
    """Settings of the warm-up."""

    central_noise: float = option(0.0, "noise multiplier of the class-central coarse images; 0 for no warm-up")
    central_steps: int = option(300, "warm-up steps on the central images (post-processing)")


def mechanism(settings: CentralSettings, scales: Scales) -> NoisySum:
    """The release of the sums, one per class.

    Sensitivity: a record's contribution is its LL band in [0, 1], in its class's place, clipped to half of the longest
    norm that such a band can have.
    """
    longest = math.sqrt(scales.channels) * scales.side(1)
    return NoisySum(name=CENTRAL, clip=longest / 2, noise_multiplier=settings.central_noise)


def release(private: PrivateData, spec: DatasetSpec, scales: Scales) -> Tensor:
    """The noisy mean image of each class at full size (no details), float [classes, c, h, w] in [-1, 1].

    Sums are divided by the number of records that an even spread over the classes gives, a public constant.
    """
    classes = max(1, spec.n_classes)

    def contribution(batch: Batch) -> Tensor:
        band = (coarse(unit_images(batch), scales.levels) + 1) / 2
        labels = torch.zeros(len(batch), dtype=torch.long) if batch.labels is None else batch.labels
        return one_hot(labels.to(band.device), classes)[..., None, None, None] * band[:, None]

    means = private.noisy_sum(CENTRAL, contribution) / (spec.n_train / classes)
    return means.clamp(0, 1).repeat_interleave(2**scales.levels, -1).repeat_interleave(2**scales.levels, -2) * 2 - 1
