"""Diffusion of images given a super-resolver's estimate (cDPMSR, arXiv 2302.12831)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dpbench.core.context import RunContext
from dpbench.models.edm import NoiseConfig, SamplerConfig
from dpbench.models.unet_config import UNetConfig
from dpbench.refiners.networks.denoiser_network import DenoiserNetwork
from dpbench.refiners.networks.sub_pixel import SubPixelNet


class EstimateDiffusion(DenoiserNetwork):
    """Samples images with a U-Net that sees [x_t, estimate], where the estimate is the output of a super-resolver.

    Args:
        channels: image channels.
        scale: see `RefinerNetwork`.
        sizes: sizes of the U-Net.
        noise: distribution of the training noise levels.
        sampler: settings of the sampler.
        width: width of the super-resolver.
        depth: residual blocks of the super-resolver.
    """

    def __init__(
        self,
        channels: int,
        scale: int,
        sizes: UNetConfig,
        noise: NoiseConfig,
        sampler: SamplerConfig,
        width: int,
        depth: int,
    ):
        super().__init__(channels, scale, sizes, noise, sampler)
        self.estimator = SubPixelNet(channels, width, depth, scale)

    def loss(self, images: Tensor, coarse: Tensor, generator: torch.Generator) -> Tensor:
        """The super-resolver's loss plus the denoiser's, which does not train the super-resolver.

        See `RefinerNetwork.loss`.
        """
        estimate = self.estimator(coarse)
        return F.l1_loss(estimate, images) + self.denoising_loss(images, generator, estimate.detach())

    def refine(self, coarse: Tensor, run: RunContext) -> Tensor:
        """Starts from the estimate plus noise, which leaves fewer steps to take; see `RefinerNetwork.refine`."""
        estimate = self.estimator.refine(coarse, run)
        return self.sample(estimate, run, near=estimate)
