"""An unconditional diffusion model, guided so that its images have a given coarse band (GDP, arXiv 2304.01247)."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from dpbench.core.context import RunContext
from dpbench.core.refiner import with_coarse_band
from dpbench.models.edm import NoiseConfig, SamplerConfig, noise_levels
from dpbench.models.unet_config import UNetConfig
from dpbench.refiners.networks.denoiser_network import DenoiserNetwork
from dpbench.refiners.networks.network_inputs import image_noise, padded, upsampled


class GuidedDiffusion(DenoiserNetwork):
    """A prior of full images, which knows nothing of coarse ones until it is sampled.

    A step goes from x with noise level σ to x' with level σ':

        x̂0 = D(x; σ)                                  the clean estimate
        x̃0 = x̂0 - g P⁺(P x̂0 - y)                      its coarse band P x̂0 moved towards the coarse image y
        x' = x̃0 + σ' (√(1 - η²) (x - x̂0) / σ + η ε)   with fresh noise ε

    P⁺ repeats every coarse pixel over its block. g = 1 replaces the coarse band.

    Args:
        channels: image channels.
        sizes: sizes of the U-Net.
        noise: distribution of the training noise levels.
        sampler: number of steps, first and last noise level.
        gain: g.
        eta: η, the share of fresh noise.
    """

    def __init__(
        self,
        channels: int,
        sizes: UNetConfig,
        noise: NoiseConfig,
        sampler: SamplerConfig,
        gain: float,
        eta: float,
    ):
        super().__init__(channels, 1, sizes, noise, sampler, conditional=False)
        self.gain = gain
        self.eta = eta

    def loss(self, images: Tensor, coarse: Tensor, generator: torch.Generator) -> Tensor:
        """The denoiser's loss on full images; see `RefinerNetwork.loss`."""
        return self.denoising_loss(images, generator)

    @torch.inference_mode()
    def refine(self, coarse: Tensor, run: RunContext) -> Tensor:
        """Starts from the interpolated coarse image plus noise; see `RefinerNetwork.refine`."""
        base = upsampled(coarse, self.scale)
        steps, eta = self.sampler.steps, self.eta
        draws = image_noise(base[:, None].expand(-1, steps + 1, -1, -1, -1), run.generator)  # image by image
        levels = noise_levels(self.sampler, steps)
        x = base + levels[0] * draws[:, 0]
        for step, (sigma, following) in enumerate(pairwise(levels), start=1):
            with run.autocast():
                clean = self.estimate(x, sigma)
            kept = (x - clean) / sigma
            clean = with_coarse_band(clean, coarse, self.gain)
            x = clean + following * (math.sqrt(1 - eta**2) * kept + eta * draws[:, step])
        return x

    def estimate(self, x: Tensor, sigma: float) -> Tensor:
        """D(x; σ), the clean estimate of images of any size: [b, c, h, w] -> [b, c, h, w]."""
        h, w = x.shape[-2:]
        levels = torch.full((len(x),), sigma, device=x.device)
        return self.denoiser(padded(x, self.divisor), levels, self.labels(x))[..., :h, :w]
