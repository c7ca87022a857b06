"""The per-record computation of `PrivateData.derive`: its values, its random draws, and whether images are kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dpbench.core.files import digest
from dpbench.core.specs import Batch
from dpbench.privacy.noise import global_randomness


@dataclass(frozen=True)
class Derivation:
    """Per-record values. Without random draws, they are the same whenever they are computed; with them, per batch.

    Attributes:
        per_record: batch of b records -> [b, ...]; if there is a seed, it also takes a generator.
        device: where it is computed.
        seed: of its random draws; None for a computation without a generator.
        keep_images: whether the images are kept along with the values.
    """

    per_record: Callable[..., Tensor]
    device: str
    seed: int | None = None
    keep_images: bool = False

    def values(self, batch: Batch, place: object = 0) -> Tensor:
        """The values [b, ...]. Draws depend on `place` (JSON-like), which distinguishes batches and processes."""
        with torch.no_grad():
            if self.seed is None:
                return self.per_record(batch).detach()
            seed = int(digest([self.seed, place]), 16) % 2**62
            with global_randomness(seed, self.device):
                return self.per_record(batch, torch.Generator(self.device).manual_seed(seed)).detach()

    def of(self, batch: Batch, place: object = 0) -> Batch:
        """The batch with its values in `derived`; see `values`."""
        images = batch.images if self.keep_images else None
        return replace(batch, images=images, derived=self.values(batch, place))
