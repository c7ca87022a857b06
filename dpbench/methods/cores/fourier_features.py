"""Random Fourier features of images (Rahimi and Recht, 2007). Their inner products approximate a Gaussian kernel."""

from __future__ import annotations

import torch
from torch import Tensor


class FourierFeatures:
    """φ(x) of norm 1 with φ(x)·φ(y) ≈ exp(-‖x - y‖² / 2σ²), where σ² is `bandwidth` times `pixels`.

    The features depend on the arguments only, so they are public.

    Args:
        pixels: values per image, c · h · w.
        features: number of features, cosines and sines together.
        bandwidth: kernel variance σ² per pixel.
        seed: seed of the frequencies.
        device: device of the images.
    """

    def __init__(self, pixels: int, features: int, bandwidth: float, seed: int, device: str):
        normal = torch.randn(pixels, features // 2, generator=torch.Generator().manual_seed(seed))
        self.frequencies = (normal / (bandwidth * pixels) ** 0.5).to(device)

    def __call__(self, images: Tensor) -> Tensor:
        """[b, c, h, w] -> [b, features], cosines then sines."""
        phase = images.flatten(1) @ self.frequencies
        return torch.cat([phase.cos(), phase.sin()], dim=1) / self.frequencies.shape[1] ** 0.5
