"""Synthetic probe records, on which closures are checked before a private record is read."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dpbench.core.captions import encode_captions
from dpbench.core.specs import Batch, DatasetSpec

DISTINCT = 64
"""Number of different records; a larger probe repeats them with their labels or captions."""

FEW = 8
"""Number of labels or captions of the ordinary records: they repeat, however many classes or texts are possible."""


class Probes:
    """Two batches of any size: ordinary records, and others to replace them.

    Ordinary images are noise of many brightnesses and contrasts, without black or white pixels. Their replacements are
    black, white, black with one bright pixel, or noise over the whole range. Their labels are distributed differently;
    their captions are empty, of full length and not ASCII, one letter, or of random length. So the sum, maximum and
    mean of a batch differ between the two.

    Args:
        ordinary: `DISTINCT` records.
        other: as many replacements.
    """

    def __init__(self, ordinary: Batch, other: Batch):
        self._pair = ordinary, other

    @classmethod
    def of(cls, spec: DatasetSpec, device: str = "cpu") -> Probes:
        """Records of the declared shape and condition, the same in every call."""
        draws = torch.Generator().manual_seed(0)
        ordinary, other = _ordinary(spec, draws), _other(spec, draws)
        return cls(ordinary.to(device), other.to(device))

    def take(self, records: int) -> tuple[Batch, Batch]:
        """(ordinary, other), of this many records each."""
        chosen = torch.arange(records) % DISTINCT
        first, second = (batch.select(chosen) for batch in self._pair)
        return first, second

    def derive(self, derived: Callable[[Batch], Batch]) -> Probes:
        """The probes, changed as `PrivateData.derive` changes records."""
        first, second = map(derived, self._pair)
        return Probes(first, second)


def _ordinary(spec: DatasetSpec, draws: torch.Generator) -> Batch:
    noise = torch.rand(DISTINCT, *spec.shape, generator=draws) - 0.5
    brightness, contrast = torch.rand(2, DISTINCT, 1, 1, 1, generator=draws)
    images = (1 + 253 * (brightness + contrast * noise).clamp(0, 1)).to(torch.uint8)
    few = _few_conditions(spec, draws)
    return Batch(images, None if few is None else few[torch.randint(len(few), (DISTINCT,), generator=draws)])


def _other(spec: DatasetSpec, draws: torch.Generator) -> Batch:
    images = torch.randint(0, 256, (DISTINCT, *spec.shape), generator=draws, dtype=torch.uint8)
    images[0::4] = 0
    images[1::4] = 255
    images[2::4] = 0
    bright = torch.randint(images[0].numel(), (DISTINCT // 4, 1), generator=draws)
    images[2::4] = images[2::4].flatten(1).scatter(1, bright, 255).reshape(-1, *spec.shape)
    return Batch(images, synthetic_conditions(spec, DISTINCT, draws))


def synthetic_conditions(spec: DatasetSpec, count: int, draws: torch.Generator) -> Tensor | None:
    """Random labels int64 [count] or captions uint8 [count, spec.caption_bytes], as the spec declares, else None."""
    if spec.n_classes:
        return torch.randint(spec.n_classes, (count,), generator=draws)
    if not spec.caption_bytes:
        return None
    captions = _letters(spec, count, draws)
    captions[0::4] = 0
    captions[1::4] = encode_captions(["é" * spec.caption_bytes], spec.caption_bytes)
    captions[2::4, 1:] = 0
    return captions


def _few_conditions(spec: DatasetSpec, draws: torch.Generator) -> Tensor | None:
    """At most `FEW` different labels or captions."""
    if spec.n_classes:
        return torch.randperm(spec.n_classes, generator=draws)[:FEW]
    return _letters(spec, FEW, draws) if spec.caption_bytes else None


def _letters(spec: DatasetSpec, count: int, draws: torch.Generator) -> Tensor:
    """Captions of random lengths and printable ASCII characters."""
    length = spec.caption_bytes
    letters = torch.randint(ord("!"), ord("~") + 1, (count, length), generator=draws, dtype=torch.uint8)
    ends = torch.randint(1, length + 1, (count, 1), generator=draws)
    return torch.where(torch.arange(length) < ends, letters, 0)
