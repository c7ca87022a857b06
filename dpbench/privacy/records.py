"""The records in a vault: a dataset, one process's shard of it, or values derived from either."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from dpbench.core.specs import Batch
from dpbench.privacy.slots import EMPTY


class Records(Protocol):
    """Records by position: an `ImageDataset`, a `Shard`, `DerivedRecords`, `LazyRecords`, `WithImages` ..."""

    def __len__(self) -> int: ...

    def batch(self, indices: Sequence[int]) -> Batch:
        """The records at `indices`, in order."""
        ...


class Shard:
    """Some of the records.

    Args:
        records: all records.
        positions: the positions of the shard's records among them, in order.
    """

    def __init__(self, records: Records, positions: Sequence[int]):
        self._records = records
        self._positions = positions

    def __len__(self) -> int:
        return len(self._positions)

    def batch(self, indices: Sequence[int]) -> Batch:
        """The records at `indices` of the shard, in order."""
        return self._records.batch([self._positions[i] for i in indices])


class DerivedRecords:
    """Values computed by `derive`, in memory."""

    def __init__(self, batches: Sequence[Batch]):
        first, *others = batches
        self._all = first.map(lambda *tensors: torch.cat(tensors), *others)

    def __len__(self) -> int:
        return len(self._all)

    def batch(self, indices: Sequence[int]) -> Batch:
        """The records at `indices`, in order."""
        return self._all.select(torch.as_tensor(indices, dtype=torch.long))


class Computed(Protocol):
    """A computation on each record: a `Derivation` or a `Tokenization`."""

    @property
    def device(self) -> str:
        """Where it is computed."""
        ...

    def of(self, batch: Batch, place: object = 0) -> Batch:
        """The batch with the values; `place` distinguishes batches for random draws."""
        ...


class LazyRecords:
    """Values that are computed whenever they are read: for a few reads of many records.

    Args:
        records: the records from which values are computed.
        derivation: computes the values, which are returned on the CPU.
    """

    def __init__(self, records: Records, derivation: Computed):
        self._records = records
        self._derivation = derivation

    def __len__(self) -> int:
        return len(self._records)

    def batch(self, indices: Sequence[int]) -> Batch:
        """The records at `indices`, in order."""
        batch = self._records.batch(indices).to(self._derivation.device)
        return self._derivation.of(batch, list(indices)).to("cpu")


class WithImages:
    """Derived values, together with the images that they were computed from.

    Args:
        derived: the values.
        records: the records with the images, read whenever they are used.
    """

    def __init__(self, derived: Records, records: Records):
        self._derived = derived
        self._records = records

    def __len__(self) -> int:
        return len(self._derived)

    def batch(self, indices: Sequence[int]) -> Batch:
        """The records at `indices`, in order."""
        return replace(self._derived.batch(indices), images=self._records.batch(indices).images)


def padded(records: Records, indices: Sequence[int], size: int, device: str) -> Iterator[tuple[Batch, Tensor]]:
    """The records at `indices` in batches of exactly `size` on a device, with a mask that is False on the padding.

    Padding is at the end, and wherever an index is `EMPTY`; batches that are all padding are skipped.
    """
    for start in range(0, len(indices), size):
        part = indices[start : start + size]
        rows = [row for row, index in enumerate(part) if index != EMPTY]
        if rows:
            batch = records.batch([part[row] for row in rows])
            real = torch.zeros(size, dtype=torch.bool)
            real[rows] = True
            yield batch.map(partial(_spread, real)).to(device), real.to(device)


def _spread(real: Tensor, tensor: Tensor) -> Tensor:
    if real.all():
        return tensor
    rows = tensor.new_zeros(len(real), *tensor.shape[1:])
    rows[real.to(tensor.device)] = tensor
    return rows
