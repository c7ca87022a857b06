"""Neural tangent features of images (DP-NTK, arXiv 2303.01687): the gradient of a fixed random network."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from dpbench.methods.cores.matching.image_features import Features

EPSILON = 1e-5
"""Added to the variance in layer normalisation."""


class TangentFeatures(Features):
    """φ(x) = g(x) / ‖g(x)‖, where g is the gradient of the sum of a network's outputs with respect to all its weights.

    The network is f(x) = V n + c with n = LayerNorm(ReLU(W x + b)), its weights initialised like linear layers of
    torch. The sum of outputs has the same gradient nᵀ in every row of V, so one row times √outputs stands for all, and
    likewise for c: inner products stay the same. The gradient with respect to (W, b) is the outer product δ (x, 1)ᵀ,
    where δ is the sum of outputs differentiated with respect to W x + b.

    The features depend on the arguments only, so they are public.

    Args:
        pixels: values per image, c · h · w.
        width: hidden units.
        outputs: outputs of the network.
        seed: seed of its weights.
        device: device of the images.
    """

    chunk: ClassVar[int] = 50

    def __init__(self, pixels: int, width: int, outputs: int, seed: int, device: str):
        generator = torch.Generator().manual_seed(seed)

        def uniform(inputs: int, units: int) -> Tensor:
            return ((2 * torch.rand(inputs, units, generator=generator) - 1) / inputs**0.5).to(device)

        self.outputs = outputs
        self.first = torch.cat([uniform(pixels, width), uniform(pixels, width)[:1]])  # W and b, [pixels + 1, width]
        self.last = uniform(width, outputs)  # V

    def __call__(self, images: Tensor) -> Tensor:
        """See `Features`: [b, width · (pixels + 1) + width + 1]."""
        delta, inputs, rest = self._gradient(images)
        return torch.cat([(delta[:, :, None] * inputs[:, None, :]).flatten(1), rest], 1)

    def sums(self, images: Tensor, groups: int) -> tuple[Tensor, Tensor]:
        """See `Features.sums`; without the features of single images, which are large."""
        delta, inputs, rest = (part.unflatten(0, (groups, -1)) for part in self._gradient(images))
        outer = delta.transpose(1, 2) @ inputs  # [groups, width, pixels + 1]
        sums = torch.cat([outer.flatten(1), rest.sum(1)], 1)
        return sums, sums.square().sum(1) - delta.shape[1]  # each φ has norm 1

    def _gradient(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The parts of φ: δ [b, width], (x, 1) [b, pixels + 1], and the gradient of V and c [b, width + 1]."""
        inputs = torch.cat([images.flatten(1), torch.ones(len(images), 1, device=images.device)], 1)
        active = (inputs @ self.first).relu()
        centred = active - active.mean(1, keepdim=True)
        deviation = (centred.square().mean(1, keepdim=True) + EPSILON).sqrt()
        n = centred / deviation
        total = self.last.sum(1)
        delta = (total - total.mean() - n * (n * total).mean(1, keepdim=True)) / deviation * (active > 0)
        rest = self.outputs**0.5 * torch.cat([n, torch.ones_like(n[:, :1])], 1)
        squares = [part.square().sum(1, keepdim=True) for part in (delta, inputs, rest)]
        norm = (squares[0] * squares[1] + squares[2]).sqrt()
        return delta / norm, inputs, rest / norm
