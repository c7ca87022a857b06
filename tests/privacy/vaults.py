"""Tiny vaults: records in memory that count who reads them, and plans with noise of the test's choosing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from scipy.stats import norm
from torch import Tensor

from dpbench.core.data import ImageDataset
from dpbench.core.specs import Batch, Budget, DatasetSpec
from dpbench.privacy.ledger import Ledger
from dpbench.privacy.mechanisms.mechanism import DPSGD, Mechanism, NoisySum
from dpbench.privacy.noise import NoiseSource
from dpbench.privacy.plan import CalibratedPlan
from dpbench.privacy.vault import Vault

SIGMAS = 6
"""Standard deviations that a statistic may be off: once in 5·10⁸ tests, for one that is normally distributed."""


class Images(ImageDataset):
    """Images in memory; `reads` lists the indices of every batch that was asked for."""

    def __init__(self, images: Tensor, classes: int = 3):
        names = tuple("abcdefgh"[:classes]) or None
        self.spec = DatasetSpec("test", images.shape[1], images.shape[2], len(images), 10, names, True)
        self.images = images
        self.labels = torch.arange(len(images)) % classes if classes else None
        self.reads: list[list[int]] = []

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: Sequence[int]) -> Batch:
        self.reads.append(list(indices))
        index = torch.as_tensor(list(indices), dtype=torch.long)
        return Batch(self.images[index], None if self.labels is None else self.labels[index])

    @property
    def fingerprint(self) -> str:
        return "test"


class Untouchable(Images):
    """Records that nobody may read."""

    def batch(self, indices: Sequence[int]) -> Batch:
        raise AssertionError("a private record was read")


def pixels(n: int, seed: int = 0, resolution: int = 4) -> Tensor:
    """Random images [n, 1, resolution, resolution]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 1, resolution, resolution), generator=generator, dtype=torch.uint8)


def planned(*mechanisms: Mechanism) -> CalibratedPlan:
    """A plan that claims to be calibrated already."""
    return CalibratedPlan(mechanisms, Budget(1.0, 1e-5), 1.0, 1.1, 0.25, 1.0)


def vault(
    records: ImageDataset,
    *mechanisms: Mechanism,
    path: Path | None = None,
    noise: NoiseSource | None = None,
    **options: Any,
) -> Vault:
    """Records behind the given mechanisms, with secret noise unless told otherwise."""
    return Vault(records, records.spec, Ledger(planned(*mechanisms), path), noise or NoiseSource(), **options)


def a_sum(**settings) -> NoisySum:
    """A `NoisySum` called "sum" without noise, unless told otherwise."""
    return NoisySum(**{"name": "sum", "clip": 1.0, "noise_multiplier": 0.0, **settings})


def steps(n: int, **settings) -> DPSGD:
    """One `DPSGD` step called "steps" over all of n records without noise, unless told otherwise."""
    default = {"name": "steps", "clip": 1.0, "noise_multiplier": 0.0, "n": n, "expected_batch": n, "steps": 1}
    return DPSGD(**{**default, **settings})


def gaussian_delta(epsilon: float, sigma: float) -> float:
    """The exact δ of a Gaussian mechanism of sensitivity 1: Balle and Wang 2018, theorem 8."""
    a, b = 1 / (2 * sigma), epsilon * sigma
    return norm.cdf(a - b) - math.exp(epsilon) * norm.cdf(-a - b)
