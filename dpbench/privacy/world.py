"""The processes that train one model together, each on its own share of the records (torchrun)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from dpbench.core.errors import PrivacyError


@dataclass(frozen=True)
class World:
    """One process among those that share a vault; by default alone.

    Every process flips the coins of its own records, so that together they draw one Poisson sample at the planned
    rate; the first alone adds the noise, and writes the receipt, before any sum is added up. The sums of single
    processes pass between them without noise: the processes and what connects them are inside the vault.

    Attributes:
        rank: number of this process.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def current(cls) -> World:
        """That of torch.distributed's default process group; alone without one."""
        return cls(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else cls()

    @property
    def leads(self) -> bool:
        """Whether this is the process that adds noise and writes files."""
        return self.rank == 0

    def all_reduce(self, tensors: Sequence[Tensor], number: int) -> list[Tensor]:
        """The sums over all processes of fp32 tensors of equal shapes: the same on every process, bit for bit.

        Args:
            number: which release this is, to make sure that all processes mean the same.

        Raises:
            PrivacyError: they do not.
        """
        if self.size == 1:
            return list(tensors)
        check = torch.full((1,), float(number), device=tensors[0].device)
        together = torch.cat([check, *(t.flatten() for t in tensors)])
        dist.all_reduce(together)
        if together[0] != number * self.size:
            raise PrivacyError("the processes of this run do not stand at the same release; start it anew with --force")
        parts = together[1:].split([t.numel() for t in tensors])
        return [part.reshape(t.shape) for part, t in zip(parts, tensors, strict=True)]

    @torch.no_grad()
    def share(self, tensors: Sequence[Tensor]) -> None:
        """Overwrites the tensors of all processes with those of the first."""
        if self.size > 1:
            for tensor in tensors:
                dense = tensor.detach().contiguous()  # of any memory format
                dist.broadcast(dense, src=0)
                tensor.copy_(dense)
