"""What a vault holds: a dataset, one process's share of it, or what `derive` made of either."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from dpbench.core.specs import Batch
from dpbench.privacy.slots import EMPTY
from dpbench.privacy.world import World


class Records(Protocol):
    """Records by position: an `ImageDataset`, a `Shard`, or `DerivedRecords`."""

    def __len__(self) -> int: ...

    def batch(self, indices: Sequence[int]) -> Batch:
        """The records at `indices`, in order."""
        ...


class Shard:
    """The records of one process: those at positions rank, rank + size, rank + 2 · size ... of all.

    Args:
        records: all of them.
        world: whose process this is.
    """

    def __init__(self, records: Records, world: World):
        self._records = records
        self._positions = range(world.rank, len(records), world.size)

    def __len__(self) -> int:
        return len(self._positions)

    def batch(self, indices: Sequence[int]) -> Batch:
        """The records at `indices` of the shard, in order."""
        return self._records.batch([self._positions[i] for i in indices])


class DerivedRecords:
    """What `derive` computed, in memory."""

    def __init__(self, batches: Sequence[Batch]):
        first, *others = batches
        self._all = first.map(lambda *tensors: torch.cat(tensors), *others)

    def __len__(self) -> int:
        return len(self._all)

    def batch(self, indices: Sequence[int]) -> Batch:
        """The records at `indices`, in order."""
        return self._all.select(torch.as_tensor(indices, dtype=torch.long))


def padded(records: Records, indices: Sequence[int], size: int, device: str) -> Iterator[tuple[Batch, Tensor]]:
    """The records at `indices` in batches of exactly `size` on a device, with a mask that is False on the padding.

    Padding stands at the end, and wherever an index is `EMPTY`; a batch of padding alone is left out.
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
