"""The vault: sensitive records, and the only queries by which anything may be learnt about them (rule R1).

Every query names a mechanism of the plan. Order within a query: plan and independence checks (no record is read),
Poisson sample, per-record clipping, sum, noise, receipt, and only then the result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from dpbench.core.checkpoints import Checkpoint, Checkpoints
from dpbench.core.context import Precision
from dpbench.core.data import ImageDataset
from dpbench.core.errors import PrivacyError, UnknownName
from dpbench.core.specs import Batch, DatasetSpec
from dpbench.privacy.checks.independence import LEAST, prove
from dpbench.privacy.checks.loss_checks import LossChecks, moved_weights
from dpbench.privacy.checks.probes import Probes
from dpbench.privacy.clipping import clipped_sum
from dpbench.privacy.door import Door
from dpbench.privacy.gradients.bookkeeping import BookKeepingEngine
from dpbench.privacy.gradients.engine import GradientEngine, Loss, OpacusEngine
from dpbench.privacy.gradients.engine_checks import check_engine, check_gradients
from dpbench.privacy.gradients.vmap import VmapEngine
from dpbench.privacy.ledger import Ledger, Receipt
from dpbench.privacy.mechanisms import DPSGD, Mechanism, NoisySum
from dpbench.privacy.noise import Draws, NoiseSource, global_randomness
from dpbench.privacy.records import DerivedRecords, Records, Shard, padded
from dpbench.privacy.stepper import DPSGDStepper
from dpbench.privacy.world import World

ENGINES: Mapping[str, type[GradientEngine]] = {
    "book-keeping": BookKeepingEngine,
    "opacus": OpacusEngine,
    "vmap": VmapEngine,
}

PerRecord = Callable[[Batch], Tensor]

ROUNDING: Mapping[Precision, float] = {"fp32": 1e-3, "bf16": 2e-2}
"""Relative difference that the order of rows may make to a loss in each precision."""


class PrivateData:
    """Sensitive records behind differentially private queries.

    Several processes can share the work (see `World`): each holds every size-th record, they make the same calls, and
    each call gives all of them the same result.

    Args:
        records: the sensitive split, all of it on every process; `len(records)` is public and must be `spec.n_train`.
        spec: what the dataset declares.
        ledger: the plan and its receipts.
        noise: source of DP noise and Poisson samples, of the same key and another rank on every process.
        device: where contributions and losses are computed.
        precision: what losses are computed in; their per-example gradients are summed and noised in fp32 in either.
        checkpoints: where releases are stored, to be taken up again after an interruption; by default nowhere.
        world: the processes that share the records.
    """

    def __init__(
        self,
        records: ImageDataset,
        spec: DatasetSpec,
        ledger: Ledger,
        noise: NoiseSource,
        device: str = "cpu",
        precision: Precision = "fp32",
        checkpoints: Checkpoints | None = None,
        world: World = World(),  # noqa: B008 (immutable)
    ):
        if len(records) != spec.n_train:
            raise PrivacyError(f"the dataset declares {spec.n_train} records but holds {len(records)}")
        self.spec = spec
        self.device = device
        self.precision = precision
        self.ledger = ledger
        self._checkpoints = checkpoints or Checkpoints(None)
        self._noise = noise
        self.world = world
        self._records: Records = records if world.size == 1 else Shard(records, world)
        self._probes = Probes.of(spec, device)
        self.door = Door(shows_errors=spec.public_benchmark)

    def noisy_sum(self, name: str, contribution: PerRecord, chunk: int = 500) -> Tensor:
        """One release of Σ_i clip(contribution(record i)) + N(0, (noise_multiplier · clip)²).

        Sensitivity: each record's vector is scaled here to L2 norm at most `clip`, and non-finite ones become zero, so
        replacing a record by nothing moves the sum by at most `clip`.

        Where the vault has checkpoints, the result and its receipt are stored as one before the result is handed out.
        When the same run goes on after an interruption, this very result is handed out again: no record is read and
        no noise is drawn. Without a stored result the release is done again with the same noise; see `noise_key`.

        Args:
            name: a `NoisySum` of the plan.
            contribution: batch of b records -> [b, ...], each row from its own record alone; dense or sparse.
            chunk: records per call of `contribution`.

        Returns:
            fp32 tensor of one record's contribution's shape, on the vault's device.

        Raises:
            PrivacyError: not in the plan, used up, or `contribution` mixes records. No record has been read then.
        """
        self.door.require_open()
        mechanism = self.ledger.require(name, NoisySum)
        what, sampled = f"the contribution of '{name}'", mechanism.sampling_rate < 1
        values = prove(partial(_evaluate, contribution), self._probes, chunk, sampled, what, self.device)
        shape, number = values.shape[1:], self.ledger.spent[name] + 1
        self._noise.key.starts_from(f"release {number} of '{name}'", values)
        release = self._checkpoints.state(f"release {number} of {name}", [asdict(mechanism), list(shape)])
        stored = self._stored(release, mechanism, shape)
        if stored is not None:
            return stored
        draws = self._noise.of(name, number)
        total, receipt = self.door.behind(
            f"'{name}'", lambda: self._noisy_sum(mechanism, contribution, chunk, shape, draws)
        )
        release.save(partial(torch.save, {"total": total, "receipt": asdict(receipt)}))
        return total

    def _noisy_sum(
        self, mechanism: NoisySum, contribution: PerRecord, chunk: int, shape: torch.Size, draws: Draws
    ) -> tuple[Tensor, Receipt]:
        """One fresh release."""
        total = torch.zeros(shape, device=self.device)
        sample = draws.poisson_sample(len(self._records), mechanism.sampling_rate)
        with global_randomness(draws.seed(), self.device):
            for batch, real in padded(self._records, sample, chunk, self.device):
                values = _evaluate(contribution, batch)
                if values.shape != (len(real), *shape):
                    raise PrivacyError(f"the contribution of '{mechanism.name}' changes its shape between calls")
                total += clipped_sum(values, real, mechanism.clip)
        [total], receipt = self._release([total], mechanism, draws)
        return total, receipt

    def _stored(self, release: Checkpoint, mechanism: NoisySum, shape: torch.Size) -> Tensor | None:
        """What an interrupted attempt at this run stored of a release, with its receipt taken over."""
        read = partial(torch.load, map_location=self.device, weights_only=True)
        stored = release.load(read) if self.world.leads else None
        is_stored = torch.tensor([float(stored is not None)], device=self.device)
        self.world.share([is_stored])
        if not is_stored:
            return None
        total: Tensor = torch.empty(shape, device=self.device) if stored is None else stored["total"]
        self.world.share([total])
        self.ledger.restore(mechanism, self.ledger.spent[mechanism.name] + 1)
        return total

    def _release(self, sums: list[Tensor], mechanism: Mechanism, draws: Draws) -> tuple[list[Tensor], Receipt]:
        """Noises this process's clipped sums, writes the receipt, and only then adds up those of all processes."""
        assert mechanism.noise_multiplier is not None
        if self.world.leads:  # once, whatever the number of processes
            for total in sums:
                total += draws.gaussian(tuple(total.shape), mechanism.noise_multiplier * mechanism.clip)
        receipt = self.ledger.spend(mechanism)
        return self.world.all_reduce(sums, receipt.number), receipt

    def dp_sgd(
        self,
        name: str,
        model: nn.Module,
        loss: Loss,
        optimizer: torch.optim.Optimizer,
        generator: torch.Generator,
        views: int = 1,
        micro_batch: int = 0,
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
            micro_batch: rows per call of `loss`, 0 for as many as memory or cache hold; the last call is padded, so a
                realised batch size is never visible.
            engine: how per-example gradients are made; a name of `ENGINES`.

        Raises:
            PrivacyError: not in the plan, used up, planned for another number of records, the loss or model mixes
                records, or the engine cannot differentiate the model. No record has been read then.
        """
        self.door.require_open()
        mechanism = self.ledger.require(name, DPSGD)
        if mechanism.n != self.spec.n_train:
            raise PrivacyError(
                f"'{name}' is planned for {mechanism.n} records, but the dataset has {self.spec.n_train}: "
                "its sampling rate would not be what is billed"
            )
        if engine not in ENGINES:
            raise UnknownName("engine", engine, ENGINES)
        self.world.share([*model.parameters(), *model.buffers()])
        weights = [p.detach().flatten() for p in model.parameters()]
        if not weights:
            raise PrivacyError("the model has no trainable parameters")
        self._noise.key.starts_from(f"step {self.ledger.spent[name] + 1} of '{name}'", torch.cat(weights))
        loss = self._in_precision(loss)
        state = generator.get_state()

        checks = LossChecks(
            model, loss, self._probes, views, generator, f"the loss of '{name}'", ROUNDING[self.precision]
        )
        checks.look()
        few = self._probes.take(LEAST)
        gradients = ENGINES[engine](model, checks.watched)
        try:
            check_gradients(gradients, *few, views, lambda: generator.set_state(state))
            with moved_weights(model):  # two records there: more would cost more than it shows
                check_gradients(gradients, *self._probes.take(2), views, lambda: generator.set_state(state))
            check_engine(gradients, few[0].repeat(views), views, generator.set_state(state))
            fitting = gradients.rows_that_fit(few[0].repeat(views), views, generator.set_state(state))
            generator.set_state(state)
            rows = self._as_noted(name, micro_batch or min(fitting, mechanism.expected_batch * views))
            checks.prove(rows // views)
        except BaseException:
            gradients.close()
            raise
        return self._stepper(mechanism, gradients, optimizer, generator, views, rows, checks)

    def _as_noted(self, name: str, rows: int) -> int:
        """Rows per call of a loss, on all processes alike: a replay draws for as many as the first attempt."""
        rows = self._noise.key.note(f"rows of step {self.ledger.spent[name] + 1} of '{name}'", rows)
        of_all = torch.tensor([float(rows)], device=self.device)
        self.world.share([of_all])
        return int(of_all)

    def _stepper(self, *parts: Any) -> DPSGDStepper:
        """The stepper of checked parts; see `DPSGDStepper`."""
        return DPSGDStepper(self, *parts)

    def _in_precision(self, loss: Loss) -> Loss:
        """The loss computed in the vault's precision, its values fp32."""

        def wrapped(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
            bf16 = self.precision == "bf16"
            with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=bf16):
                return loss(model, batch, generator).float()

        return wrapped

    def derive(self, per_record: PerRecord, chunk: int = 500) -> PrivateData:
        """A vault of `per_record(record)` for every record (tokens, embeddings ...), under the same ledger.

        Nothing is released: the values stay inside, and later queries see them as `Batch.derived`.

        Args:
            per_record: batch of b records -> [b, ...], computed with public code, each row from its own record alone.

        Raises:
            PrivacyError: `per_record` mixes records. No record has been read then.
        """
        self.door.require_open()
        prove(partial(_evaluate, per_record), self._probes, chunk, False, "derive", self.device)
        vault = object.__new__(type(self))
        vault.__dict__.update(self.__dict__)
        vault._probes = self._probes.derive(partial(_evaluate, per_record))
        vault._records = self.door.behind("derive", lambda: self._derived(per_record, chunk))
        return vault

    def _derived(self, per_record: PerRecord, chunk: int) -> Records:
        """What `per_record`, which was checked, makes of all records."""
        return DerivedRecords(
            [
                replace(batch, images=None, derived=_evaluate(per_record, batch)).map(partial(_chosen, real))
                for batch, real in padded(self._records, range(len(self._records)), chunk, self.device)
            ]
        )

    def unsafe_records(self, reason: str) -> Records:
        """The raw records of this process, for experiments.

        Marks the trial, and everything made from it, as unverified for good.
        """
        self.door.require_open()
        self.ledger.mark_unverified(reason)
        return self._records


def _evaluate(per_record: PerRecord, batch: Batch) -> Tensor:
    with torch.no_grad():
        return per_record(batch)


def _chosen(real: Tensor, tensor: Tensor) -> Tensor:
    return tensor[real].cpu()
