"""The tokenizer's optional perceptual and adversarial losses, from one discriminator that learns beside it.

SIT measures perceptual distance by a network trained on ImageNet. That would be public data of another track, so the
distance is taken in the discriminator's own features instead (Larsen et al., arXiv 1512.09300): nothing but the public
source is learnt from.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call


class Judgement(NamedTuple):
    """Scalars: what the tokenizer pays, and what the discriminator pays."""

    perceptual: Tensor
    adversarial: Tensor
    discriminator: Tensor


class Discriminator(nn.Module):
    """Scores overlapping patches of an image: high for real, low for reconstructed ones.

    Args:
        channels: of the images.
        width: channels of the first convolution.
    """

    def __init__(self, channels: int, width: int = 32):
        super().__init__()
        widths = (channels, width, 2 * width, 2 * width)
        self.layers = nn.ModuleList(nn.Conv2d(i, o, 4, stride=2, padding=1) for i, o in pairwise(widths))
        self.score = nn.Conv2d(widths[-1], 1, 1)

    def forward(self, images: Tensor) -> list[Tensor]:
        """[b, c, h, w] -> the features of every layer, and last the scores [b, 1, h/8, w/8]."""
        features, x = [], images
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
            features.append(x)
        return [*features, self.score(x)]

    def judge(self, real: Tensor, made: Tensor) -> Judgement:
        """The losses of both players for images [b, c, h, w] and their reconstructions.

        What the tokenizer pays has no gradient for the discriminator's weights, and the other way round: one optimiser
        can minimise the sum.
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
        return Judgement(torch.stack(distances).mean(), -seen[-1].mean(), hinge)
