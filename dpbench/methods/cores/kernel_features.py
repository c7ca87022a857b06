"""Features of images by their kernel values at a few anchors (Nyström), as DP-Kernel releases them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dpbench.methods.cores.image_features import Features

GRID = 8
"""Points per side of smooth noise: few directions, which the anchors of one release can cover."""


class KernelFeatures(Features):
    """φ(x) = L⁻¹ k(Z, x) for anchors Z, where K(Z, Z) + λI = LLᵀ.

    k is the mean over scales of exp(-‖x - y‖² / 2σ²), so k(x, x) = 1. The kernel matrix of Z and x together is positive
    semidefinite, so ‖φ(x)‖² = k(x, Z) (K(Z, Z) + λI)⁻¹ k(Z, x) ≤ k(x, x) = 1. As λ goes to 0, φ(x)·φ(y) goes to k(x, y)
    wherever y is an anchor. λ > 0 keeps L invertible where anchors coincide.

    Args:
        anchors: public images [m, c, h, w] in [0, 1].
        bandwidths: kernel variance σ² per pixel, one per scale.
        ridge: λ.
    """

    def __init__(self, anchors: Tensor, bandwidths: Sequence[float], ridge: float):
        self.anchors = anchors.flatten(1)
        self.bandwidths = bandwidths
        identity = torch.eye(len(anchors), device=anchors.device)
        self.root = torch.linalg.cholesky(self.kernel(self.anchors, self.anchors) + ridge * identity)

    def kernel(self, a: Tensor, b: Tensor) -> Tensor:
        """Kernel values of flat images [..., m, c · h · w] and [..., n, c · h · w]: [..., m, n]."""
        norms = a.square().sum(-1)[..., :, None] + b.square().sum(-1)[..., None, :]
        per_pixel = (norms - 2 * a @ b.mT).clamp_min(0) / a.shape[-1]
        return torch.stack([(-per_pixel / (2 * variance)).exp() for variance in self.bandwidths]).mean(0)

    def __call__(self, images: Tensor) -> Tensor:
        """See `Features`: [b, m]."""
        return torch.linalg.solve_triangular(self.root, self.kernel(self.anchors, images.flatten(1)), upper=False).T

    def sums(self, images: Tensor, groups: int) -> tuple[Tensor, Tensor]:
        """See `Features.sums`; pairs have their exact kernel.

        φ(x)·φ(y) is smaller away from the anchors, and images would be driven there.
        """
        flat = images.flatten(1).unflatten(0, (groups, -1))
        among = self.kernel(flat, flat)
        pairs = among.sum((1, 2)) - among.diagonal(dim1=1, dim2=2).sum(1)
        return self(images).unflatten(0, (groups, -1)).sum(1), pairs


def smooth_noise(shape: Sequence[int], seed: int) -> Tensor:
    """Standard normal noise at `GRID` × `GRID` points of the image, interpolated: [b, c, h, w]; public."""
    b, c, h, w = shape
    points = torch.randn(b, c, GRID, GRID, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(points, size=(h, w), mode="bilinear")
