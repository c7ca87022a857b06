"""The vault: sensitive records, and the only queries by which anything may be learnt about them (rule R1).

Every query names a mechanism of the plan. Order within a query: plan and independence checks (no record is read),
Poisson sample, per-record clipping, sum, noise, receipt, and only then the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn

from dpbench.core.data import ImageDataset
from dpbench.core.errors import PrivacyError, UnknownName
from dpbench.core.specs import Batch, DatasetSpec
from dpbench.privacy.bookkeeping import BookKeepingEngine
from dpbench.privacy.clipping import clipped_sum
from dpbench.privacy.dp_sgd import DPSGDStepper
from dpbench.privacy.gradients import GradientEngine, Loss, OpacusEngine, check_engine
from dpbench.privacy.independence import (
    check_gradients,
    check_independent,
    check_model,
    check_order_free,
    random_records,
)
from dpbench.privacy.ledger import Ledger
from dpbench.privacy.mechanisms import DPSGD, NoisySum
from dpbench.privacy.noise import NoiseSource, global_randomness

ENGINES: Mapping[str, type[GradientEngine]] = {"book-keeping": BookKeepingEngine, "opacus": OpacusEngine}

PerRecord = Callable[[Batch], Tensor]


class Records(Protocol):
    """What the vault holds: an `ImageDataset`, or what `derive` made of one."""

    def __len__(self) -> int: ...

    def batch(self, indices: Sequence[int]) -> Batch:
        """The records at `indices`, in order."""
        ...


class PrivateData:
    """Sensitive records behind differentially private queries.

    Args:
        records: the sensitive split; `len(records)` is public and must be `spec.n_train`.
        spec: what the dataset declares.
        ledger: the plan and its receipts.
        noise: source of DP noise and Poisson samples.
        device: where contributions and losses are computed.
    """

    def __init__(
        self, records: ImageDataset, spec: DatasetSpec, ledger: Ledger, noise: NoiseSource, device: str = "cpu"
    ):
        if len(records) != spec.n_train:
            raise PrivacyError(f"the dataset declares {spec.n_train} records but holds {len(records)}")
        self.spec = spec
        self.device = device
        self.ledger = ledger
        self._noise = noise
        self._records: Records = records
        self._probes = (
            random_records(spec, 0).map(lambda t: t.to(device)),
            random_records(spec, 1).map(lambda t: t.to(device)),
        )

    def noisy_sum(self, name: str, contribution: PerRecord, chunk: int = 500) -> Tensor:
        """One release of Σ_i clip(contribution(record i)) + N(0, (noise_multiplier · clip)²).

        Sensitivity: each record's vector is scaled here to L2 norm at most `clip`, and non-finite ones become zero, so
        replacing a record by nothing moves the sum by at most `clip`.

        Args:
            name: a `NoisySum` of the plan.
            contribution: batch of b records -> [b, ...], each row from its own record alone; dense or sparse.
            chunk: records per call of `contribution`.

        Returns:
            fp32 tensor of one record's contribution's shape, on the vault's device.

        Raises:
            PrivacyError: not in the plan, used up, or `contribution` mixes records. No record has been read then.
        """
        mechanism = self.ledger.require(name, NoisySum)
        check_independent(contribution, *self._probes, f"the contribution of '{name}'")
        if mechanism.sampling_rate < 1:
            check_order_free(contribution, self._probes[0], f"the contribution of '{name}'")
        shape = _evaluate(contribution, self._probes[0]).shape[1:]
        total = torch.zeros(shape, device=self.device)
        sample = self._noise.poisson_sample(len(self._records), mechanism.sampling_rate)
        with global_randomness(self._noise.seed(), self.device):
            for batch, real in self._padded(sample, chunk):
                values = _evaluate(contribution, batch)
                if values.shape != (len(real), *shape):
                    raise PrivacyError(f"the contribution of '{name}' changes its shape with the size of the batch")
                total += clipped_sum(values, real, mechanism.clip)
        assert mechanism.noise_multiplier is not None
        total += self._noise.gaussian(tuple(shape), mechanism.noise_multiplier * mechanism.clip)
        self.ledger.spend(mechanism)
        return total

    def dp_sgd(
        self,
        name: str,
        model: nn.Module,
        loss: Loss,
        optimizer: torch.optim.Optimizer,
        generator: torch.Generator,
        views: int = 1,
        micro_batch: int = 64,
        engine: str = "book-keeping",
    ) -> DPSGDStepper:
        """An iterator whose every `next` is one private step of `optimizer` on `model`; see `DPSGDStepper`.

        Args:
            name: a `DPSGD` of the plan.
            loss: per-view losses [records · views], record-major, each from its own record alone; see `gradients.Loss`.
            generator: randomness of the loss (never DP noise). Each step draws one number from it, mixes it with a
                secret one, and gives the loss a generator of its own: what is left in `generator` and in torch's global
                one says nothing about the private batch, and nobody who knows the seed knows which draws a record met.
            views: how often each record stands in the batch given to `loss`; its gradients are averaged, then clipped.
            micro_batch: rows per call of `loss`; the last call is padded, so a realised batch size is never visible.
            engine: how per-example gradients are made; a name of `ENGINES`.

        Raises:
            PrivacyError: not in the plan, used up, the loss or model mixes records, or the engine cannot differentiate
                the model. No record has been read then.
        """
        mechanism = self.ledger.require(name, DPSGD)
        if engine not in ENGINES:
            raise UnknownName("engine", engine, ENGINES)
        state = generator.get_state()

        def losses(batch: Batch) -> Tensor:
            value = loss(model, batch.repeat(views), generator.set_state(state))
            if value.shape != (len(batch) * views,):
                raise PrivacyError(
                    f"the loss of '{name}' must give one value per row, shape ({len(batch) * views},), "
                    f"not {tuple(value.shape)}"
                )
            return value.reshape(-1, views)

        check_model(model, lambda: losses(self._probes[0]))
        check_independent(losses, *self._probes, f"the loss of '{name}'")
        gradients = ENGINES[engine](model, loss)
        try:
            check_gradients(gradients, *self._probes, views, lambda: generator.set_state(state))
            check_engine(gradients, self._probes[0].repeat(views), views, generator.set_state(state))
        except BaseException:
            gradients.close()
            raise
        generator.set_state(state)
        return DPSGDStepper(self, mechanism, gradients, optimizer, generator, views, micro_batch)

    def derive(self, per_record: PerRecord, chunk: int = 500) -> PrivateData:
        """A vault of `per_record(record)` for every record (tokens, embeddings ...), under the same ledger.

        Nothing is released: the values stay inside, and later queries see them as `Batch.derived`.

        Args:
            per_record: batch of b records -> [b, ...], computed with public code, each row from its own record alone.

        Raises:
            PrivacyError: `per_record` mixes records. No record has been read then.
        """
        check_independent(per_record, *self._probes, "derive")
        vault = object.__new__(PrivateData)
        vault.__dict__.update(self.__dict__)
        first, second = (Batch(None, p.labels, _evaluate(per_record, p)) for p in self._probes)
        vault._probes = (first, second)
        vault._records = DerivedRecords(
            [
                Batch(None, batch.labels, _evaluate(per_record, batch)).map(partial(_chosen, real))
                for batch, real in self._padded(range(len(self._records)), chunk)
            ]
        )
        return vault

    def unsafe_records(self, reason: str) -> Records:
        """The raw records, for experiments: marks the trial, and everything made from it, as unverified for good."""
        self.ledger.mark_unverified(reason)
        return self._records

    def _padded(self, indices: Sequence[int], size: int) -> Iterator[tuple[Batch, Tensor]]:
        """The records at `indices` in batches of exactly `size`, with a mask that is False on the padding."""
        for start in range(0, len(indices), size):
            batch = self._records.batch(indices[start : start + size])
            missing = size - len(batch)
            real = torch.arange(size, device=self.device) < len(batch)
            yield batch.map(partial(_pad, missing)).map(lambda t: t.to(self.device)), real


class DerivedRecords:
    """What `derive` computed, in memory."""

    def __init__(self, batches: list[Batch]):
        self._values = torch.cat([b.derived for b in batches if b.derived is not None])
        labels = [b.labels for b in batches if b.labels is not None]
        self._labels = torch.cat(labels) if labels else None

    def __len__(self) -> int:
        return len(self._values)

    def batch(self, indices: Sequence[int]) -> Batch:
        """The records at `indices`, in order."""
        chosen = torch.as_tensor(indices, dtype=torch.long)
        return Batch(None, None if self._labels is None else self._labels[chosen], self._values[chosen])


def _evaluate(per_record: PerRecord, batch: Batch) -> Tensor:
    with torch.no_grad():
        return per_record(batch)


def _chosen(real: Tensor, tensor: Tensor) -> Tensor:
    return tensor[real].cpu()


def _pad(missing: int, tensor: Tensor) -> Tensor:
    return torch.cat([tensor, tensor.new_zeros(missing, *tensor.shape[1:])]) if missing else tensor
