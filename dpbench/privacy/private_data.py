"""The vault: sensitive records, and the only queries by which anything may be learnt about them (rule R1).

Every query names a mechanism of the plan. Order within a query: plan and independence checks (no record is read),
Poisson sample, per-record clipping, sum, noise, receipt, and only then the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor, nn

from dpbench.core.data import ImageDataset
from dpbench.core.errors import PrivacyError, UnknownName
from dpbench.core.specs import Batch, DatasetSpec
from dpbench.privacy.bookkeeping import BookKeepingEngine
from dpbench.privacy.gradients import GradientEngine, Loss, OpacusEngine, check_engine
from dpbench.privacy.independence import (
    check_gradients,
    check_independent,
    check_layers,
    check_model,
    check_order_free,
    random_records,
)
from dpbench.privacy.ledger import Ledger, Receipt
from dpbench.privacy.mechanisms import DPSGD, NoisySum
from dpbench.privacy.noise import NoiseSource

ENGINES: Mapping[str, type[GradientEngine]] = {"book-keeping": BookKeepingEngine, "opacus": OpacusEngine}

PerRecord = Callable[[Batch], Tensor]

LARGEST = 1e30
"""Norm above which a contribution counts as zero."""


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
        with _global_randomness(self._noise.seed(), self.device):
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
            value = loss(model, _repeat(batch, views), generator.set_state(state))
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
            check_engine(gradients, _repeat(self._probes[0], views), views, generator.set_state(state))
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
                Batch(None, batch.labels, _evaluate(per_record, batch)).map(lambda t, real=real: t[real].cpu())
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
            yield batch.map(lambda t, missing=missing: _pad(t, missing).to(self.device)), real


class DPSGDStepper:
    """Private steps: gradient = (Σ_{i in Poisson batch} clip(g_i) + N(0, (noise_multiplier · clip)²)) / expected batch.

    Sensitivity: each per-example gradient has norm at most `clip`, the divisor is a public constant, an empty batch is
    noise alone, and nothing un-noised leaves this object. Steps are Poisson-subsampled Gaussian mechanisms.
    """

    def __init__(
        self,
        vault: PrivateData,
        mechanism: DPSGD,
        engine: GradientEngine,
        optimizer: torch.optim.Optimizer,
        generator: torch.Generator,
        views: int,
        micro_batch: int,
    ):
        self._vault = vault
        self._mechanism = mechanism
        self._engine = engine
        self._optimizer = optimizer
        self._generator = generator
        self._views = views
        self._records_per_call = max(1, micro_batch // views)

    def __len__(self) -> int:
        return self._mechanism.steps

    def __iter__(self) -> Iterator[Receipt]:
        return self

    def __next__(self) -> Receipt:
        vault, mechanism = self._vault, self._mechanism
        if vault.ledger.spent[mechanism.name] == mechanism.releases:
            self._engine.close()
            raise StopIteration
        check_layers(self._engine.model)
        self._engine.refuse_changes()
        assert mechanism.noise_multiplier is not None
        sums = [torch.zeros_like(p, dtype=torch.float32) for p in self._engine.parameters]
        sample = vault._noise.poisson_sample(len(vault._records), mechanism.sampling_rate)
        drawn = torch.randint(2**62, (), generator=self._generator, device=self._generator.device)
        seed = vault._noise.seed() ^ int(drawn)
        generator = torch.Generator(self._generator.device).manual_seed(seed)
        with _global_randomness(seed, vault.device):
            for batch, real in vault._padded(sample, self._records_per_call):
                rows = _repeat(batch, self._views)
                part = self._engine.clipped_sum(rows, real, self._views, mechanism.clip, generator)
                for total, addend in zip(sums, part, strict=True):
                    total += addend
        for total in sums:
            total += vault._noise.gaussian(tuple(total.shape), mechanism.noise_multiplier * mechanism.clip)
        receipt = vault.ledger.spend(mechanism)
        for parameter, total in zip(self._engine.parameters, sums, strict=True):
            parameter.grad = (total / mechanism.expected_batch).to(parameter.dtype)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        if receipt.number == receipt.planned:
            self._engine.close()
        return receipt


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


def clipped_sum(values: Tensor, real: Tensor, clip: float) -> Tensor:
    """Σ over real records of the record's vector scaled to L2 norm at most `clip`; a non-finite one counts as zero.

    So does one whose norm exceeds `LARGEST`, which fp32 could not scale down to `clip` exactly.

    Args:
        values: [b, ...]; dense, or sparse in its first dimensions.
        real: bool [b]; False marks padding.
        clip: bound C.
    """
    if values.is_sparse:
        values = values.coalesce()
        record, *place = values.indices()
        entries = values.values().float().reshape(len(record), -1)
    else:
        record, place = torch.arange(len(values), device=values.device), []
        entries = values.float().reshape(len(values), -1)
    squares = torch.zeros(len(real), dtype=torch.float64, device=values.device)
    squares.index_add_(0, record, entries.double().square().sum(1))
    kept = (squares <= LARGEST**2) & real
    weights = torch.where(kept, clip / squares.sqrt().clamp_min(clip), 0).float()
    entries = torch.where(kept[record][:, None], entries, 0)
    if not place:
        with torch.autocast(entries.device.type, enabled=False):
            return (weights[record] @ entries).reshape(values.shape[1:])
    dense = entries.reshape(values.values().shape) * weights[record].reshape(-1, *[1] * (values.dense_dim()))
    return torch.zeros(values.shape[1:], device=values.device).index_put_(tuple(place), dense, accumulate=True)


@contextmanager
def _global_randomness(seed: int, device: str) -> Iterator[None]:
    """torch's global generator seeded with `seed` and afterwards as before: draws per private batch leave no trace."""
    with torch.random.fork_rng([device] if torch.device(device).type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _evaluate(per_record: PerRecord, batch: Batch) -> Tensor:
    with torch.no_grad():
        return per_record(batch)


def _pad(tensor: Tensor, missing: int) -> Tensor:
    return torch.cat([tensor, tensor.new_zeros(missing, *tensor.shape[1:])]) if missing else tensor


def _repeat(batch: Batch, views: int) -> Batch:
    return batch if views == 1 else batch.map(lambda t: t.repeat_interleave(views, dim=0))
