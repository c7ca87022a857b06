"""Synthetic probe records, on which closures are checked before a private record is read."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dpbench.core.specs import Batch, DatasetSpec

DISTINCT = 64
"""Number of different records; a larger probe repeats them with their labels."""

FEW = 8
"""Number of classes of the ordinary records, so that labels repeat in a batch however many classes there are."""


class Probes:
    """Two batches of any size: ordinary records, and others to replace them.

    Ordinary images are noise of many brightnesses and contrasts, without black or white pixels. Their replacements are
    black, white, black with one bright pixel, or noise over the whole range, and their labels are distributed
    differently. So a batch's sum, maximum and mean differ between the two.

    Args:
        ordinary: `DISTINCT` records.
        other: as many.
    """

    def __init__(self, ordinary: Batch, other: Batch):
        self._pair = ordinary, other

    @classmethod
    def of(cls, spec: DatasetSpec, device: str = "cpu") -> Probes:
        """Records of the declared shape and labels, the same in every call."""
        draws = torch.Generator().manual_seed(0)
        ordinary, other = _ordinary(spec, draws), _other(spec, draws)
        return cls(ordinary.map(lambda t: t.to(device)), other.map(lambda t: t.to(device)))

    def take(self, records: int) -> tuple[Batch, Batch]:
        """(ordinary, other), of this many records each."""
        chosen = torch.arange(records) % DISTINCT
        first, second = (batch.map(lambda t: t[chosen.to(t.device)]) for batch in self._pair)
        return first, second

    def derive(self, per_record: Callable[[Batch], Tensor]) -> Probes:
        """The probes with `per_record(record)` in place of each record, as `PrivateData.derive` does."""
        first, second = (Batch(None, batch.labels, per_record(batch)) for batch in self._pair)
        return Probes(first, second)


def _ordinary(spec: DatasetSpec, draws: torch.Generator) -> Batch:
    noise = torch.rand(DISTINCT, *spec.shape, generator=draws) - 0.5
    brightness, contrast = torch.rand(2, DISTINCT, 1, 1, 1, generator=draws)
    images = (1 + 253 * (brightness + contrast * noise).clamp(0, 1)).to(torch.uint8)
    if not spec.n_classes:
        return Batch(images)
    classes = torch.randperm(spec.n_classes, generator=draws)[:FEW]
    return Batch(images, classes[torch.randint(len(classes), (DISTINCT,), generator=draws)])


def _other(spec: DatasetSpec, draws: torch.Generator) -> Batch:
    images = torch.randint(0, 256, (DISTINCT, *spec.shape), generator=draws, dtype=torch.uint8)
    images[0::4] = 0
    images[1::4] = 255
    images[2::4] = 0
    bright = torch.randint(images[0].numel(), (DISTINCT // 4, 1), generator=draws)
    images[2::4] = images[2::4].flatten(1).scatter(1, bright, 255).reshape(-1, *spec.shape)
    labels = torch.randint(spec.n_classes, (DISTINCT,), generator=draws) if spec.n_classes else None
    return Batch(images, labels)
