"""Warm-up of a diffusion model on noisy central images (DP-FETA, arXiv 2504.01395)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dpbench.core.context import RunContext
from dpbench.core.specs import Batch
from dpbench.methods.cores.diffusion.diffusion_model import DiffusionModel
from dpbench.methods.cores.released_images import ReleasedImages
from dpbench.methods.cores.warm_up.central_images import central_images
from dpbench.methods.cores.warm_up.warm_up_settings import CENTRAL, WarmUpSettings
from dpbench.privacy.private_data import PrivateData

SHARPEN = ((0.0, -1.0, 0.0), (-1.0, 5.0, -1.0), (0.0, -1.0, 0.0))
"""Kernel that adds the difference between a pixel and its neighbours; its sum is 1."""


def warm_up(model: DiffusionModel, private: PrivateData, settings: WarmUpSettings, run: RunContext) -> None:
    """Releases central images at reduced resolution, then trains the model on them at full resolution."""
    title = "warm up on central images (post-processing)"
    draw = upsampled_central_images(private, settings.reduction).batches(settings.augmentation, run)
    model.train_publicly(draw, settings.warmup_batch, settings.warmup_lr, settings.warmup_steps, run, title)


def upsampled_central_images(private: PrivateData, reduction: int) -> ReleasedImages:
    """The central images at full resolution, released at 1/`reduction` of it."""

    def reduced(batch: Batch) -> Tensor:
        assert batch.images is not None
        return F.avg_pool2d(batch.images.float() / 255, reduction)

    central = central_images(private, CENTRAL, reduced)
    return ReleasedImages(restored(central.images, reduction), central.labels)


def restored(images: Tensor, reduction: int) -> Tensor:
    """Noisy reduced images -> images at full resolution: post-processing.

    Bilinear upsampling and a 3×3 median filter, then a 3×3 sharpening kernel for grey images.

    Args:
        images: float [n, c, h, w] in [-1, 1].
        reduction: factor by which height and width grow.
    """
    images = F.interpolate(images, scale_factor=reduction, mode="bilinear")
    n, c, h, w = images.shape
    neighbourhoods = F.unfold(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3).reshape(n, c, 9, h, w)
    images = neighbourhoods.median(2).values
    if c == 1:
        images = F.conv2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), torch.tensor([[SHARPEN]]))
    return images.clamp(-1, 1)
