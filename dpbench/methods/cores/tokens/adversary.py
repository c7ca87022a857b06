"""Optional perceptual and adversarial losses of the tokenizer, computed by a jointly trained discriminator.

SIT measures perceptual distance with a network trained on ImageNet. Pretrained weights would put the method into
another track, so the distance is computed in the features of the discriminator instead (Larsen et al., arXiv
1512.09300). The discriminator is trained on the public source only.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

SMALLEST = 8
"""Smallest side of an image for three layers that halve it."""


class AdversarialLosses(NamedTuple):
    """Scalar losses: `perceptual` and `adversarial` train the tokenizer, `discriminator` trains the discriminator."""

    perceptual: Tensor
    adversarial: Tensor
    discriminator: Tensor


class Discriminator(nn.Module):
    """A patch discriminator: high scores for real patches, low scores for reconstructed ones.

    Args:
        channels: image channels.
        width: channels of the first convolution.
    """

    def __init__(self, channels: int, width: int = 32):
        super().__init__()
        widths = (channels, width, 2 * width, 2 * width)
        self.layers = nn.ModuleList(nn.Conv2d(i, o, 4, stride=2, padding=1) for i, o in pairwise(widths))
        self.score = nn.Conv2d(widths[-1], 1, 1)

    def forward(self, images: Tensor) -> list[Tensor]:
        """[b, c, h, w] -> the features of every layer, followed by the scores [b, 1, h/8, w/8].

        Coarse bands with a side below `SMALLEST` are enlarged first, by repeated pixels.
        """
        scale = math.ceil(SMALLEST / min(images.shape[-2:]))
        features, x = [], F.interpolate(images, scale_factor=scale) if scale > 1 else images
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
            features.append(x)
        return [*features, self.score(x)]

    def losses(self, real: Tensor, made: Tensor) -> AdversarialLosses:
        """The losses for images and their reconstructions, both float [b, c, h, w].

        The tokenizer's losses have no gradient with respect to the discriminator's weights, and vice versa, so one
        optimiser can minimise their sum.
        """
        frozen = {name: p.detach() for name, p in self.named_parameters()}
        with torch.no_grad():
            wanted = functional_call(self, frozen, (real,))
        seen = functional_call(self, frozen, (made,))
        distances = [
            F.mse_loss(F.normalize(a, dim=1), F.normalize(b, dim=1))
            for a, b in zip(seen[:-1], wanted[:-1], strict=True)
        ]
        hinge = F.relu(1 - self(real)[-1]).mean() + F.relu(1 + self(made.detach())[-1]).mean()
        return AdversarialLosses(torch.stack(distances).mean(), -seen[-1].mean(), hinge)
