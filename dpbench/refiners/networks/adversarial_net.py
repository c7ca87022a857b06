"""A convolutional super-resolver with an adversarial loss (SRGAN, arXiv 1609.04802), and its critic."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from dpbench.models.frozen import frozen
from dpbench.refiners.networks.network_inputs import upsampled
from dpbench.refiners.networks.sub_pixel import SubPixelNet


class AdversarialNet(SubPixelNet):
    """A `SubPixelNet` trained with an adversarial loss in addition to the L1 loss.

    The L1 loss favours the median of all details that fit the coarse image, which is blurry. The adversarial loss
    favours details that the critic cannot tell from real ones.

    Args:
        channels: image channels.
        width: channels of the super-resolver's blocks.
        depth: number of these blocks.
        scale: see `RefinerNetwork`; a power of two.
        critic_width: channels of the critic's first layer.
        weight: weight of the adversarial loss.
    """

    def __init__(self, channels: int, width: int, depth: int, scale: int, critic_width: int, weight: float):
        super().__init__(channels, width, depth, scale)
        self.critic = PatchCritic(channels, critic_width)
        self.weight = weight

    def loss(self, images: Tensor, coarse: Tensor, generator: torch.Generator) -> Tensor:
        """The losses of the super-resolver and of the critic, which share no gradient; see `RefinerNetwork.loss`."""
        base, drawn = upsampled(coarse, self.scale), self(coarse)
        adversarial = -frozen(self.critic, drawn, base).mean()
        hinge = F.relu(1 - self.critic(images, base)) + F.relu(1 + self.critic(drawn.detach(), base))
        return F.l1_loss(drawn, images) + self.weight * adversarial + hinge.mean()


class PatchCritic(nn.Module):
    """Scores patches of an image, given the coarse one; spectral normalisation bounds its slope (arXiv 1802.05957).

    Args:
        channels: image channels.
        width: channels of the first layer.
    """

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(2),
            *(spectral_norm(nn.Conv2d(8 * channels, width, 3, padding=1)), nn.LeakyReLU(0.2)),
            *(spectral_norm(nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)), nn.LeakyReLU(0.2)),
            *(spectral_norm(nn.Conv2d(2 * width, 2 * width, 3, padding=1)), nn.LeakyReLU(0.2)),
            spectral_norm(nn.Conv2d(2 * width, 1, 1)),
        )

    def forward(self, images: Tensor, base: Tensor) -> Tensor:
        """Scores [b, 1, h / 4, w / 4], high for real images.

        Args:
            images: real or drawn, [b, c, h, w].
            base: upsampled coarse images, [b, c, h, w].
        """
        scores: Tensor = self.layers(torch.cat([images, base], dim=1))
        return scores
