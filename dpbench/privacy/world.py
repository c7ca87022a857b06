"""The processes that train one model together, each on its own shard of the records (torchrun)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from dpbench.core.errors import PrivacyError


@dataclass(frozen=True)
class World:
    """One process among those that share a vault; by default the only one.

    Every process samples its own records, so that together they draw one Poisson sample at the planned rate. Rank 0
    alone adds the noise and writes the receipt, before any sums are reduced. Sums of single processes are exchanged
    without noise: the processes and their connections are inside the vault.

    Attributes:
        rank: rank of this process, from 0.
        size: number of processes.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def current(cls) -> World:
        """The world of torch.distributed's default process group; a single process without one."""
        return cls(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else cls()

    @property
    def leads(self) -> bool:
        """Whether this is rank 0, which adds noise and writes files."""
        return self.rank == 0

    def positions(self, count: int) -> range:
        """The positions of this process's records among `count`: rank, rank + size, rank + 2 · size ..."""
        return range(self.rank, count, self.size)

    def all_reduce(self, tensors: Sequence[Tensor], number: int) -> list[Tensor]:
        """The sums over all processes of fp32 tensors of equal shapes: the same on every process, bit for bit.

        Args:
            number: the release's number, to check that all processes are at the same one.

        Raises:
            PrivacyError: the processes are at different releases.
        """
        if self.size == 1:
            return list(tensors)
        check = torch.full((1,), float(number), device=tensors[0].device)
        together = torch.cat([check, *(t.flatten() for t in tensors)])
        dist.all_reduce(together)
        if together[0] != number * self.size:
            raise PrivacyError(
                "the processes of this run are not at the same release; run this trial alone with --force"
            )
        parts = together[1:].split([t.numel() for t in tensors])
        return [part.reshape(t.shape) for part, t in zip(parts, tensors, strict=True)]

    @torch.no_grad()
    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        """Overwrites the tensors of all processes with those of rank 0."""
        if self.size > 1:
            for tensor in tensors:
                dense = tensor.detach().contiguous()  # of any memory format
                dist.broadcast(dense, src=0)
                tensor.copy_(dense)
