"""Canaries: records of an audit with the largest contribution to every release that the clip allows.

A canary's contribution is a large multiple of its own unit vector, in coordinates that no other record uses; the vault
clips it like any other. A fair coin decides whether a canary is in the data. A canary that is out contributes nothing,
as in the neighbouring dataset (rule R3).

A canary carries its number in a field of its batch, so it survives sampling, shuffling, `derive`, views and padding.
The mark is 0 for an ordinary record, 1 + i for canary i that is in, and 1 + m for one that is out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dpbench.core.data import ImageDataset
from dpbench.core.specs import Batch, DatasetSpec
from dpbench.privacy.gradients.engine import Loss
from dpbench.privacy.sanitised_steps import Discriminator, DrawRecords
from dpbench.privacy.stand_in import StandIn

LOUD = 1e4
"""Norm of a canary's contribution before it is clipped, in units of the clip."""


@dataclass(frozen=True)
class MarkedBatch(Batch):
    """A batch whose records may be canaries.

    Attributes:
        marks: int64 [b]; None once `Canaries.unmark` has removed them.
    """

    marks: Tensor | None = None


class CanaryRecords(StandIn):
    """Public records in place of sensitive ones; the first records are canaries.

    Args:
        public: public images of the sensitive images' shape.
        spec: what the sensitive dataset declares.
        present: [m] the coins: which canaries are in; m is at most `spec.n_train`.

    Attributes:
        present: the coins.
        canaries: reads the marks of these records.
    """

    def __init__(self, public: ImageDataset, spec: DatasetSpec, present: NDArray[np.bool_]):
        super().__init__(public, spec)
        m = len(present)
        self.present = present
        self.canaries = Canaries(m)
        self._marks = torch.zeros(spec.n_train, dtype=torch.long)
        self._marks[:m] = torch.where(torch.from_numpy(present), torch.arange(1, m + 1), m + 1)

    def batch(self, indices: Sequence[int]) -> Batch:
        """See `ImageDataset.batch`; a `MarkedBatch`."""
        return MarkedBatch(**super().batch(indices).tensors, marks=self._marks[list(indices)])


class Canaries:
    """Reads the marks of records.

    Args:
        count: m, the number of canaries.
    """

    def __init__(self, count: int):
        self.count = count

    @staticmethod
    def unmark(batch: Batch) -> tuple[Batch, Tensor]:
        """The batch without marks, and the marks int64 [b]; all zero for a batch without marks."""
        if isinstance(batch, MarkedBatch) and batch.marks is not None:
            return replace(batch, marks=None), batch.marks
        device = next(iter(batch.tensors.values())).device
        return batch, torch.zeros(len(batch), dtype=torch.long, device=device)

    def number(self, marks: Tensor) -> Tensor:
        """1 + i for canary i that is in, else 0: int64 [b]."""
        return torch.where(marks <= self.count, marks, 0)


class WithCanaries(nn.Module):
    """A model, and a layer that only canaries use: row 1 + i belongs to canary i, row 0 to nobody.

    The loss of canary i is a multiple of its row's only weight, so that the engine itself computes, measures, clips and
    sums the canary's gradient.

    Args:
        model: the trained model.
        canaries: reads the marks.
        loss: the loss of `model`.
        norm: norm of a canary's gradient, before it is clipped.
    """

    def __init__(self, model: nn.Module, canaries: Canaries, loss: Loss, norm: float):
        super().__init__()
        self.model = model
        self.rows = nn.Embedding(canaries.count + 1, 1).to(next(model.parameters()).device)
        nn.init.zeros_(self.rows.weight)
        self._canaries, self._loss, self._norm = canaries, loss, norm

    @staticmethod
    def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """The records' losses; see `gradients.Loss`."""
        assert isinstance(model, WithCanaries)
        plain, marks = model._canaries.unmark(batch)
        ordinary = model._loss(model.model, plain, generator)
        number = model._canaries.number(marks).to(ordinary.device)
        weights = model.rows(number).squeeze(-1)
        return torch.where(marks.to(ordinary.device) == 0, ordinary, 0) + model._norm * (number > 0) * weights


class OfPlainRecords:
    """A discriminator that is trained on records without marks; see `Discriminator`."""

    def __init__(self, discriminator: Discriminator, canaries: Canaries):
        self._discriminator = discriminator
        self._unmark = canaries.unmark
        self.state_dict, self.load_state_dict = discriminator.state_dict, discriminator.load_state_dict

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        """See `Discriminator`."""
        return self._discriminator(images, labels)

    def warm_up(self, records: DrawRecords, draws: torch.Generator) -> None:
        """See `Discriminator`."""
        self._discriminator.warm_up(lambda size: self._unmark(records(size))[0], draws)

    def train(self, records: DrawRecords, images: Tensor, labels: Tensor, draws: torch.Generator) -> None:
        """See `Discriminator`."""
        self._discriminator.train(lambda size: self._unmark(records(size))[0], images, labels, draws)


class CanaryContribution:
    """The contribution of a `noisy_sum` with added coordinates that only canaries use.

    They are additional entries of the contribution's first dimension, so sparse contributions stay sparse.

    Args:
        contribution: batch of b records -> [b, ...]; dense or sparse.
        canaries: reads the marks.
        norm: norm of a canary's contribution, before it is clipped.
    """

    def __init__(self, contribution: Callable[[Batch], Tensor], canaries: Canaries, norm: float):
        self._contribution, self._canaries, self._norm = contribution, canaries, norm
        self._shape = torch.Size()

    def __call__(self, batch: Batch) -> Tensor:
        """[b, k + added, ...] for a contribution [b, k, ...]; [b, 1 + added] for one of [b]."""
        plain, marks = self._canaries.unmark(batch)
        values = self._contribution(plain)
        self._shape = values.shape[1:]
        marks = marks.to(values.device)
        return _placed(values, marks == 0, self._canaries.number(marks), self._norm, self._added)

    def split(self, total: Tensor) -> tuple[Tensor, Tensor]:
        """A sum of contributions -> (sum of ordinary records, [1 + m] nobody's and the canaries' coordinates)."""
        ordinary, added = total[: -self._added], total[-self._added :]
        return ordinary.reshape(self._shape), added.flatten()[: self._canaries.count + 1]

    @property
    def _added(self) -> int:
        """Entries of the first dimension that hold one number per canary, and one more."""
        return -(-(self._canaries.count + 1) // self._shape[1:].numel())


def _placed(values: Tensor, ordinary: Tensor, number: Tensor, norm: float, added: int) -> Tensor:
    """[b, k, ...] -> [b, k + added, ...]: values of ordinary records, and `norm` in each canary's coordinate."""
    if values.is_sparse and values.sparse_dim() > 1:
        return _placed_sparsely(values.coalesce(), ordinary, number, norm, added)
    values = values.to_dense() if values.is_sparse else values
    rest = values.shape[2:]
    values = torch.where(ordinary.reshape(-1, *[1] * (values.ndim - 1)), values, 0).float()
    own = torch.zeros(len(number), added * rest.numel(), device=values.device)
    own.scatter_(1, number[:, None], norm * (number > 0)[:, None].float())
    return torch.cat([values.reshape(len(number), -1, *rest), own.reshape(len(number), added, *rest)], 1)


def _placed_sparsely(values: Tensor, ordinary: Tensor, number: Tensor, norm: float, added: int) -> Tensor:
    records, k, *rest = values.shape
    size, sparse = (records, k + added, *rest), values.sparse_dim()
    kept = ordinary[values.indices()[0]].reshape(-1, *[1] * values.dense_dim())
    plain = torch.sparse_coo_tensor(
        values.indices(), torch.where(kept, values.values(), 0).float(), size, check_invariants=False
    )
    first, *others = torch.unravel_index(number, (added, *rest))
    place = (torch.arange(records, device=number.device), k + first, *others)
    own = torch.zeros(records, *size[sparse:], device=number.device)
    own[(place[0], *place[sparse:])] = norm * (number > 0).float()
    return (plain + torch.sparse_coo_tensor(torch.stack(place[:sparse]), own, size, check_invariants=False)).coalesce()
