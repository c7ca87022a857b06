"""Measurements of per-example gradients over public records, without noise."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from dpbench.privacy.checked_gradients import CheckedGradients
from dpbench.privacy.noise import global_randomness
from dpbench.privacy.planner import Gradients
from dpbench.privacy.records import Records, padded

GROUPS = 64
"""Groups of records that a measurement compares."""

MEASURED = 2048
"""Number of records that a measurement uses, and that all steps together use."""

TINY = 1e-20
"""Squared norm that stands for a gradient of zero."""

UNSEEN = 0.1
"""Share of a mean's sampling noise below which a signal cannot be distinguished from zero."""


class PublicGradients:
    """Sums of per-example gradients over public records, without noise.

    `Rehearsal` makes it from a `StandIn`. A vault never hands out its records without marking its ledger unverified.

    Args:
        records: public records.
        distinct: number of different records, which come first.
        gradients: checked gradients of the model.
        generates: device of the loss's generator.
        device: where gradients are computed.
    """

    def __init__(
        self, records: Records, distinct: int, gradients: CheckedGradients, generates: torch.device, device: str
    ):
        self.gradients = gradients
        self._records = records
        self._distinct = distinct
        self._generates = generates
        self._device = device

    def draw(self, most: int, seed: int) -> list[int]:
        """At most `most` different records at random, the same ones in every rehearsal."""
        return torch.randperm(self._distinct, generator=torch.Generator().manual_seed(seed))[:most].tolist()

    def sums(self, records: list[int], clip: float) -> list[Tensor]:
        """Σ over records of their gradients, clipped: one tensor per trained parameter."""
        seed = records[0]
        generator = torch.Generator(self._generates).manual_seed(seed)
        rows = min(self.gradients.records_per_call, len(records))
        with global_randomness(seed, self._device):
            batches = padded(self._records, records, rows, self._device)
            return self.gradients.clipped_sums(batches, clip, generator)

    def measure(self, seed: int, clip: float) -> Gradients:
        """The gradients of `MEASURED` records at the current weights."""
        records = self.draw(MEASURED, seed)
        size = max(1, len(records) // GROUPS)
        groups = [records[start : start + size] for start in range(0, len(records) - size + 1, size)]
        return compare(((self._flat(group, clip), self._flat(group, math.inf)) for group in groups), size, clip)

    def _flat(self, records: list[int], clip: float) -> Tensor:
        return torch.cat([t.flatten() for t in self.sums(records, clip)]).double()


def compare(groups: Iterable[tuple[Tensor, Tensor]], size: int, clip: float) -> Gradients:
    """Estimates from sums over disjoint groups of records, without the bias of the norm of a noisy mean.

    Sums a_k and a_l of different groups share no record, so ⟨a_k, a_l⟩ is size² · ‖h‖² on average: no sampling noise is
    squared. ‖Σ a_k‖² - Σ ‖a_k‖² adds up all pairs at once. The rest of ‖a_k‖² is the squared norms of its records.

    Args:
        groups: at least two pairs (Σ clipped gradients, Σ gradients), flat, over `size` independent records each.
        size: records per group.
        clip: bound on a clipped gradient's norm.
    """
    total = plain_total = torch.zeros(())
    own = cross = count = 0.0
    for clipped, plain in groups:
        total, plain_total = total + clipped, plain_total + plain
        own, cross, count = own + float(clipped @ clipped), cross + float(clipped @ plain), count + 1
    pairs = count * (count - 1) * size**2
    squared = (float(total @ total) - own) / pairs
    rms = min(clip, math.sqrt(max(TINY, own / (count * size) - (size - 1) * squared)))
    signal = math.sqrt(max(squared, (UNSEEN * rms) ** 2 / (count * size)))
    product = (float(total @ plain_total) - cross) / pairs
    return Gradients(len(total), signal, rms, max(signal, product / signal))
