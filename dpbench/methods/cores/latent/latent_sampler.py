"""Sampling of latent diffusion models, as many images at once as fit in memory."""

from __future__ import annotations

import torch
from torch import Tensor

from dpbench.core.footprint import rows_that_fit, saved_bytes
from dpbench.models.autoencoder import Autoencoder
from dpbench.models.condition_unet import ConditionUNet
from dpbench.models.ddpm import DDPM, DDIMConfig
from dpbench.models.image_range import to_uint8


@torch.no_grad()
def sampled_images(
    diffusion: DDPM,
    unet: ConditionUNet,
    autoencoder: Autoencoder,
    y: Tensor,
    resolution: int,
    config: DDIMConfig,
    generator: torch.Generator,
) -> Tensor:
    """One image per condition: uint8 [n, c, h, w].

    The initial noise and the seeds of all images are drawn first, so the images do not depend on how many are denoised
    together.

    Args:
        diffusion: the noise process.
        unet: denoises latents.
        autoencoder: decodes them.
        y: conditions [n, ...], on the device of both networks.
        resolution: height and width of an image in pixels.
        config: settings of the sampler.
        generator: source of the initial noise and of the seeds (CPU).
    """
    n, side = len(y), resolution // autoencoder.factor
    starts = torch.randn(n, autoencoder.latent_channels, side, side, generator=generator).to(y.device)
    seeds = torch.randint(2**62, (n,), generator=generator).tolist()
    with torch.enable_grad():  # an upper bound of the memory per image: its activations in training
        kept = saved_bytes(lambda: autoencoder.decode(unet(starts[:1], 0, y[:1])))
    rows = rows_that_fit(kept, str(y.device))
    parts = [slice(first, first + rows) for first in range(0, n, rows)]
    latents = [diffusion.denoise(unet, starts[p], y[p], config, seeds[p]) for p in parts]
    return torch.cat([to_uint8(autoencoder.decode(part)) for part in latents])
