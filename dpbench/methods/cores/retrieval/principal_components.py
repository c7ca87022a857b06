"""Embeds images by the principal components of public images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dpbench.methods.cores.retrieval.retrieval_settings import LARGEST_SIDE, feature_count


class PrincipalComponents(nn.Module):
    """Images -> coordinates along the d directions in which public images vary most.

    The public mean maps to 0, and the mean square norm of public images is 1.

    Args:
        shape: (channels, height, width) of an image.
        size: d, at most `feature_count(shape)`.
    """

    mean: Tensor
    axes: Tensor

    def __init__(self, shape: tuple[int, int, int], size: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(feature_count(shape)))
        self.register_buffer("axes", torch.zeros(feature_count(shape), size))

    def forward(self, images: Tensor) -> Tensor:
        """Float [b, c, h, w] in [-1, 1] -> [b, d]."""
        return (_reduced(images) - self.mean) @ self.axes

    @torch.no_grad()
    def measure(self, images: Tensor) -> None:
        """Computes mean and components from public images, float [n, c, h, w] in [-1, 1]."""
        features = _reduced(images).double()
        centred = features - features.mean(0)
        variances, directions = torch.linalg.eigh(centred.T @ centred / len(centred))
        d = self.axes.shape[1]
        norm = variances[-d:].sum().sqrt().clamp_min(1e-6)
        self.mean.copy_(features.mean(0))
        self.axes.copy_(directions[:, -d:].flip(1) / norm)


def _reduced(images: Tensor) -> Tensor:
    side = min(LARGEST_SIDE, images.shape[-1])
    return F.adaptive_avg_pool2d(images, side).flatten(1)
