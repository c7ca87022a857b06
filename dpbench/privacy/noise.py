"""Secret randomness for DP noise and Poisson sampling (rule R4).

It is derived from a key that the operating system draws for each trial; experiment seeds never reach it. Limits: noise
is drawn in floating point, and the generators seeded by the keyed hash (NumPy's Philox on the CPU, torch's on a GPU)
are not cryptographic.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dpbench.privacy.noise_key import NoiseKey


class NoiseSource:
    """Source of the noise and the Poisson samples of one process.

    Args:
        device: device of the noise.
        key: the trial's key; by default a new secret one.
        rank: rank of this process among those that share the key; each has its own randomness.
    """

    def __init__(self, device: str = "cpu", key: NoiseKey | None = None, rank: int = 0):
        self.key = key or NoiseKey()
        self._device = torch.device(device)
        self._rank = rank

    def of(self, mechanism: str, number: int) -> Draws:
        """The randomness of one release: always the same for one key, independent of all other releases."""
        return Draws(self.key.seed_of(mechanism, number, self._rank), self._device)


class Draws:
    """The randomness of one release.

    Args:
        seed: 256 bits.
        device: device of the noise.
    """

    def __init__(self, seed: int, device: torch.device):
        self._device = device
        self._numpy = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed)))
        self._torch = None
        if device.type != "cpu":
            self._torch = torch.Generator(device).manual_seed(int(self._numpy.integers(2**63)))

    def gaussian(self, shape: tuple[int, ...], std: float) -> Tensor:
        """fp32 N(0, std²) noise of the given shape on the source's device."""
        if self._torch is not None:
            return torch.randn(shape, generator=self._torch, device=self._device) * std
        return torch.from_numpy(self._numpy.standard_normal(shape, dtype=np.float32)) * std

    def laplace(self, shape: tuple[int, ...], scale: float) -> Tensor:
        """fp32 Laplace noise: the difference of two exponential draws."""
        return self.exponential(shape, scale) - self.exponential(shape, scale)

    def exponential(self, shape: tuple[int, ...], scale: float) -> Tensor:
        """fp32 exponential noise, with the mean `scale`."""
        return (self._standard_exponential(shape) * scale).float()

    def gumbel(self, shape: tuple[int, ...], scale: float) -> Tensor:
        """fp32 Gumbel noise: minus the logarithm of an exponential draw."""
        smallest = torch.finfo(torch.float64).tiny
        return (-self._standard_exponential(shape).clamp(min=smallest).log() * scale).float()

    def _standard_exponential(self, shape: tuple[int, ...]) -> Tensor:
        """fp64."""
        if self._torch is not None:
            return torch.empty(shape, dtype=torch.float64, device=self._device).exponential_(generator=self._torch)
        return torch.from_numpy(self._numpy.standard_exponential(shape))

    def poisson_sample(self, n: int, rate: float) -> list[int]:
        """Indices below n, each drawn independently with probability `rate`; all of them at rate 1. May be empty."""
        return list(range(n)) if rate == 1 else np.flatnonzero(self._numpy.random(n) < rate).tolist()

    def permutation(self, n: int) -> NDArray[np.int64]:
        """The whole numbers below n, in a uniformly random order."""
        return self._numpy.permutation(n)

    def below(self, n: int) -> int:
        """A whole number below n, drawn uniformly."""
        return int(self._numpy.integers(n))

    def seed(self) -> int:
        """A new seed for randomness that belongs to rows of a batch, such as a loss's (see `PrivateData`)."""
        return int(self._numpy.integers(2**62))


GLOBAL = 0x9E3779B9
"""Tells the seeds of torch's global generator from those of other generators."""


@contextmanager
def global_randomness(seed: int, device: str) -> Iterator[None]:
    """Seeds torch's global generator, and restores it at the end: draws for private batches leave no trace in it.

    Its draws differ from those of a `torch.Generator` with the same seed.
    """
    kind = torch.device(device).type
    with torch.random.fork_rng([device] if kind == "cuda" else []):
        # Until CUDA is used, torch.manual_seed keeps a stack trace of every call, which takes milliseconds and memory.
        (torch.default_generator.manual_seed if kind == "cpu" else torch.manual_seed)(seed ^ GLOBAL)
        yield
