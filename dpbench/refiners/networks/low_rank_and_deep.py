"""Plug-and-play restoration with a low-rank prior and a deep denoiser (H-PnP, arXiv 2005.07902)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dpbench.core.context import RunContext
from dpbench.core.refiner import block_means, with_coarse_band
from dpbench.models.edm import Denoiser, NoiseConfig
from dpbench.models.residual_block import ResidualBlock
from dpbench.refiners.networks.low_rank import GroupConfig, low_rank
from dpbench.refiners.networks.training import RefinerNetwork

NOISE = NoiseConfig(p_mean=-2.0, p_std=1.0)
"""Training noise levels: most lie between 0.02 and 1."""

PIXELS_AT_ONCE = 2**16
"""Pixels of full images whose patches are compared together."""


class LowRankAndDeep(RefinerNetwork):
    """Minimises ‖y - P x‖² / (2 τ²) + low-rank prior(x) + deep prior(x) for a coarse image y and block means P.

    Half-quadratic splitting: noise levels σ fall from step to step. Each step denoises the image with both priors,
    averages the two results, and then solves the data term exactly. τ is the deviation of public coarse images from the
    block means, so a degraded coarse image is not matched beyond its error.

    Args:
        channels: image channels.
        width: channels of the denoiser.
        depth: residual blocks of the denoiser.
        scale: see `RefinerNetwork`.
        groups: patch groups of the low-rank prior.
        sigmas: noise levels, decreasing; for images in [-1, 1].
        deep: share of the deep prior in the mean of the two.

    Attributes:
        error: τ, a scalar.
    """

    error: Tensor

    def __init__(
        self, channels: int, width: int, depth: int, scale: int, groups: GroupConfig, sigmas: list[float], deep: float
    ):
        super().__init__(channels, scale)
        self.groups = groups
        self.sigmas = sigmas
        self.deep = deep
        self.denoiser = Denoiser(ConvolutionalDenoiser(channels, width, depth), (channels, 1, 1), null=0)
        self.register_buffer("error", torch.tensor(0.0))

    def measure(self, images: Tensor, coarse: Tensor) -> None:
        """Sets `error`; see `RefinerNetwork.measure`."""
        self.error.copy_((coarse - block_means(images, self.scale)).square().mean().sqrt())

    def loss(self, images: Tensor, coarse: Tensor, generator: torch.Generator) -> Tensor:
        """The denoiser's loss on images with Gaussian noise; see `RefinerNetwork.loss`."""
        return self.denoiser.loss(images, self._labels(images), generator, NOISE).mean()

    @torch.inference_mode()
    def refine(self, coarse: Tensor, run: RunContext) -> Tensor:
        """See `RefinerNetwork.refine`; deterministic."""
        rows = max(1, PIXELS_AT_ONCE // (coarse[0, 0].numel() * self.scale**2))
        return torch.cat([self._restored(part) for part in coarse.split(rows)])

    def _restored(self, coarse: Tensor) -> Tensor:
        x = F.interpolate(coarse, scale_factor=self.scale, mode="bicubic", align_corners=False)
        for sigma in self.sigmas:
            z = (1 - self.deep) * low_rank(x, sigma, self.groups) + self.deep * self.denoised(x, sigma)
            x = self.data_step(z, coarse, sigma)
        return x

    def data_step(self, z: Tensor, coarse: Tensor, sigma: float) -> Tensor:
        """argmin over x of ‖coarse - P x‖² / (2 τ²) + ‖x - z‖² / (2 σ²): [b, c, scale · h, scale · w].

        P Pᵀ = I / scale², so the solution replaces a share of the coarse band: all of it for τ = 0.
        """
        share = 1 / (1 + (self.scale * float(self.error) / sigma) ** 2)
        return with_coarse_band(z, coarse, share)

    def denoised(self, x: Tensor, sigma: float) -> Tensor:
        """The deep prior: x without Gaussian noise of standard deviation sigma."""
        denoised: Tensor = self.denoiser(x, torch.full((len(x),), sigma, device=x.device), self._labels(x))
        return denoised

    def _labels(self, images: Tensor) -> Tensor:
        return torch.full((len(images),), self.denoiser.null, device=images.device)


class ConvolutionalDenoiser(nn.Module):
    """Residual blocks at half the image size, with the noise level as an input channel (FFDNet, arXiv 1710.04026)."""

    def __init__(self, channels: int, width: int, depth: int):
        super().__init__()
        self.first = nn.Conv2d(4 * channels + 1, width, 3, padding=1)
        self.blocks = nn.Sequential(*(ResidualBlock(width) for _ in range(depth)), nn.GELU())
        self.last = nn.Conv2d(width, 4 * channels, 3, padding=1)

    def forward(self, x: Tensor, noise_level: Tensor, labels: Tensor) -> Tensor:
        """[b, c, h, w] with even h and w, [b] -> [b, c, h, w]; labels are not used."""
        patches = F.pixel_unshuffle(x, 2)
        level = noise_level[:, None, None, None].expand(-1, 1, *patches.shape[-2:])
        return F.pixel_shuffle(self.last(self.blocks(self.first(torch.cat([patches, level], dim=1)))), 2)
