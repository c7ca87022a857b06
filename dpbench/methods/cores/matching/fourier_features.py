"""Random Fourier features of images (Rahimi and Recht, 2007). Their inner products approximate a Gaussian kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from dpbench.methods.cores.matching.image_features import Features


class FourierFeatures(Features):
    """φ(x) of norm 1 with φ(x)·φ(y) ≈ the mean over scales of exp(-‖x - y‖² / 2σ²).

    Every scale has its own variance σ², a bandwidth times `pixels`, and an equal share of the features. The features
    depend on the arguments only, so they are public.

    Args:
        pixels: values per image, c · h · w.
        features: number of features, cosines and sines of all scales together; rounded down to equal shares.
        bandwidths: kernel variance σ² per pixel, one per scale.
        seed: seed of the frequencies.
        device: device of the images.
    """

    def __init__(self, pixels: int, features: int, bandwidths: Sequence[float], seed: int, device: str):
        share = features // (2 * len(bandwidths))
        variances = torch.tensor(bandwidths).repeat_interleave(share) * pixels
        normal = torch.randn(pixels, len(variances), generator=torch.Generator().manual_seed(seed))
        self.frequencies = (normal / variances.sqrt()).to(device)

    def __call__(self, images: Tensor) -> Tensor:
        """See `Features`: cosines, then sines."""
        phase = images.flatten(1) @ self.frequencies
        return torch.cat([phase.cos(), phase.sin()], dim=1) / self.frequencies.shape[1] ** 0.5


class SquaredDistance(FourierFeatures):
    """The same features with the loss of DP-MERF's authors: the squared distance of the batch's mean to the target.

    As an estimate of the MMD it is biased: it counts the pairs of an image with itself, which drives the m images of a
    class apart, the more the smaller m is.
    """

    def loss(self, images: Tensor, targets: Tensor) -> Tensor:
        """See `Features.loss`."""
        means = self(images).unflatten(0, (len(targets), -1)).mean(1)
        return (means - targets).square().sum()


LOSSES: Mapping[str, type[FourierFeatures]] = {"unbiased": FourierFeatures, "squared": SquaredDistance}
"""The features with each value of `loss`."""
