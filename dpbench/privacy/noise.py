"""Secret randomness for DP noise and Poisson sampling (rule R4).

Seeded from the operating system, one source per process; experiment seeds never reach it. Stated limits: Gaussian
noise is drawn in floating point, and the generators (NumPy's Philox on the CPU, torch's on a GPU) are not
cryptographic.
"""

from __future__ import annotations

import secrets

import numpy as np
import torch
from torch import Tensor


class NoiseSource:
    """Draws the noise and the Poisson samples of one process.

    Args:
        device: where noise is wanted.
        reproducible_seed: for tests only; a source made with it is not secret, and its trial's row says so.
    """

    def __init__(self, device: str = "cpu", reproducible_seed: int | None = None):
        self.secret = reproducible_seed is None
        seed = secrets.randbits(256) if reproducible_seed is None else reproducible_seed
        self._device = torch.device(device)
        self._numpy = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed)))
        self._torch = None
        if self._device.type != "cpu":
            self._torch = torch.Generator(self._device).manual_seed(int(self._numpy.integers(2**63)))

    def gaussian(self, shape: tuple[int, ...], std: float) -> Tensor:
        """fp32 N(0, std²) noise of the given shape on the source's device."""
        if self._torch is not None:
            return torch.randn(shape, generator=self._torch, device=self._device) * std
        return torch.from_numpy(self._numpy.standard_normal(shape, dtype=np.float32)) * std

    def poisson_sample(self, n: int, rate: float) -> list[int]:
        """Indices below n, each taken independently with probability `rate`; all of them at rate 1. May be empty."""
        return list(range(n)) if rate == 1 else np.flatnonzero(self._numpy.random(n) < rate).tolist()
