"""Features of images from their kernel values at a few anchors (Nyström), as released by DP-Kernel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dpbench.methods.cores.matching.image_features import Features, mmd_loss

GRID = 8
"""Grid points per side of smooth noise: few, so that the anchors of one release can cover its directions."""

BLOBS = 5
"""Grid points per side of smooth images."""

CONTRAST = 0.6
"""Standard deviation of the noise in smooth images; values outside [0, 1] become black or white."""


class KernelFeatures(Features):
    """φ(x) = L⁻¹ k(Z, x) for anchors Z, where K(Z, Z) + λI = LLᵀ.

    k is the mean over scales of exp(-‖x - y‖² / 2σ²), so k(x, x) = 1. The kernel matrix of Z and x together is positive
    semidefinite, so ‖φ(x)‖² = k(x, Z) (K(Z, Z) + λI)⁻¹ k(Z, x) ≤ k(x, x) = 1. As λ goes to 0, φ(x)·φ(y) goes to k(x, y)
    wherever y is an anchor. λ > 0 keeps L invertible where anchors coincide.

    Args:
        anchors: public images [m, c, h, w] in [0, 1].
        bandwidths: kernel variance σ² per pixel, one per scale.
        ridge: λ.
        nearness: weight in `loss` of the part of a generated image that the anchors do not see.
    """

    def __init__(self, anchors: Tensor, bandwidths: Sequence[float], ridge: float, nearness: float = 0.0):
        self.anchors = anchors.flatten(1)
        self.bandwidths = bandwidths
        self.nearness = nearness
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

    def loss(self, images: Tensor, targets: Tensor) -> Tensor:
        """See `Features.loss`; plus `nearness` times the mean of 1 - ‖φ(x)‖² in each group.

        φ(x) fades with the distance from the anchors, where the release carries no information. Without this term,
        images far from the anchors cost almost nothing, and many move there.
        """
        features = self(images).unflatten(0, (len(targets), -1))
        sums, squares, m = features.sum(1), features.square().sum((1, 2)), features.shape[1]
        unseen = 1 - squares / m
        return mmd_loss(sums, sums.square().sum(1) - squares, m, targets) + self.nearness * unseen.sum()


def smooth_noise(shape: Sequence[int], points: int, draws: torch.Generator) -> Tensor:
    """Standard normal noise on a grid of points × points, interpolated to the image: [b, c, h, w]; public."""
    b, c, h, w = shape
    noise = torch.randn(b, c, points, points, generator=draws)
    return F.interpolate(noise, size=(h, w), mode="bilinear")


def smooth_images(shape: Sequence[int], draws: torch.Generator) -> Tensor:
    """Public images of soft dark and bright blobs, of any mean brightness: [b, c, h, w] in [0, 1]."""
    brightness = 2 * torch.rand(shape[0], 1, 1, 1, generator=draws) - 0.5
    return (brightness + CONTRAST * smooth_noise(shape, BLOBS, draws)).clamp(0, 1)
