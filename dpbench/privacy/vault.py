"""The vault: sensitive records behind their queries, as in every run (rule R1).

Order within a query: check against the plan, check of the closure (no record is read yet), Poisson sample,
per-record clipping, sum, noise, receipt, and only then the result.

The vault has no hooks. Audits and rehearsals measure the releases of a vault over public records; see `AuditedVault`
and `Rehearsal`.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import asdict, replace
from functools import partial
from typing import final

import torch
from torch import Tensor, nn

from dpbench.core.caption_tokens import Lost, Tokenize
from dpbench.core.checkpoints import Checkpoint, Checkpoints
from dpbench.core.context import Precision
from dpbench.core.data import ImageDataset
from dpbench.core.errors import PrivacyError
from dpbench.core.progress import Progress, Silent, track_long
from dpbench.core.specs import Batch, Conditions, DatasetSpec, Request
from dpbench.privacy.checked_gradients import CheckedGradients, refuse_closures
from dpbench.privacy.checks.independence import check_closure
from dpbench.privacy.checks.probes import Probes
from dpbench.privacy.derivation import Derivation
from dpbench.privacy.door import Door
from dpbench.privacy.gradients.engine import Loss, refuse_sharded
from dpbench.privacy.gradients.engines import engine_named
from dpbench.privacy.ledger import Ledger, Receipt
from dpbench.privacy.mechanisms.mechanism import DPSGD, Query
from dpbench.privacy.mechanisms.nearest_mean import NearestMean
from dpbench.privacy.mechanisms.sanitised import SanitisedGradients
from dpbench.privacy.noise import NoiseSource, global_randomness
from dpbench.privacy.parts import Parts
from dpbench.privacy.private_data import Derive, PerRecord, PrivateData
from dpbench.privacy.recipes import EXPONENTIAL_CHOICE, LAPLACE_SUM, NOISY_MAX, NOISY_SUM, Q, Recipe
from dpbench.privacy.records import DerivedRecords, LazyRecords, Records, Shard, WithImages, padded
from dpbench.privacy.retrieval import Retrieval
from dpbench.privacy.sanitised_steps import Generate, NewDiscriminator, SanitisedSteps
from dpbench.privacy.stepper import DPSGDStepper
from dpbench.privacy.tokenization import Tokenization, WithTokens
from dpbench.privacy.world import World

PATIENCE = 2.0
"""Seconds after which a pass over all records shows its progress."""

CAPTIONED = 500
"""Records whose captions are tokenized together."""

NO_REQUEST = Request(Conditions(0))
"""Nothing will be sampled."""


@final
class Vault(PrivateData):
    """`PrivateData` over the records of a dataset.

    Several processes can share the work (see `World`): each holds every size-th record, they make the same calls, and
    each call returns the same result on all of them.

    Args:
        records: the sensitive split, all of it on every process; `len(records)` is public and must be `spec.n_train`.
        spec: what the dataset declares.
        ledger: the plan and its receipts.
        noise: source of DP noise and Poisson samples, with the same key and a different rank on every process.
        device: where contributions and losses are computed.
        precision: what losses are computed in; their per-example gradients are always summed and noised in fp32.
        checkpoints: where releases are stored, so that an interrupted run can continue; by default nowhere.
        world: the processes that share the records.
        lazy: whether `derive` computes values whenever they are read, instead of once for all records.
        request: what will be sampled.
        progress: shows long passes over all records.
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
        lazy: bool = False,
        request: Request = NO_REQUEST,
        progress: Progress = Silent(),  # noqa: B008 (immutable)
    ):
        if len(records) != spec.n_train:
            raise PrivacyError(f"the dataset declares {spec.n_train} records but holds {len(records)}")
        own: Records = records if world.size == 1 else Shard(records, world.positions(len(records)))
        self.door = Door(shows_errors=spec.public_benchmark)
        self._parts = Parts(own, ledger, noise, self.door, device, world)
        self._spec = spec
        self._precision = precision
        self._checkpoints = checkpoints or Checkpoints(None)
        self._probes = Probes.of(spec, device)
        self._lazy = lazy
        self._request = request
        self._progress = progress

    @property
    def spec(self) -> DatasetSpec:
        """See `PrivateData`."""
        return self._spec

    @property
    def device(self) -> str:
        """See `PrivateData`."""
        return self._parts.device

    @property
    def ledger(self) -> Ledger:
        """See `PrivateData`."""
        return self._parts.ledger

    @property
    def probes(self) -> Probes:
        """The synthetic records on which closures are checked; public."""
        return self._probes

    @property
    def request(self) -> Request:
        """See `PrivateData`."""
        return self._request

    def noisy_sum(self, name: str, contribution: PerRecord, chunk: int = 500) -> Tensor:
        """See `PrivateData.noisy_sum`.

        Sensitivity: each record's vector is scaled here to L2 norm at most `clip`, and non-finite ones become zero, so
        replacing a record by nothing moves the sum by at most `clip`.
        """
        return self._answer(NOISY_SUM, name, contribution, chunk)

    def laplace_sum(self, name: str, contribution: PerRecord, chunk: int = 500) -> Tensor:
        """See `PrivateData.laplace_sum`; the proof is in `LaplaceSum`."""
        return self._answer(LAPLACE_SUM, name, contribution, chunk)

    def exponential_choice(self, name: str, scores: PerRecord, chunk: int = 500) -> int:
        """See `PrivateData.exponential_choice`; the proof is in `choices`."""
        return int(self._answer(EXPONENTIAL_CHOICE, name, scores, chunk))

    def noisy_max(self, name: str, scores: PerRecord, chunk: int = 500) -> int:
        """See `PrivateData.noisy_max`; the proof is in `choices`."""
        return int(self._answer(NOISY_MAX, name, scores, chunk))

    def _answer(self, recipe: Recipe[Q], name: str, contribution: PerRecord, chunk: int) -> Tensor:
        """One release of a query.

        Where the vault has checkpoints, the result and its receipt are stored together before the result is returned.
        When the same run continues after an interruption, this stored result is returned: no record is read and no
        noise is drawn. Without a stored result the release is repeated with the same noise; see `noise_key`.
        """
        self.door.require_open()
        mechanism = self.ledger.require(name, recipe.kind)
        what, sampled = f"the contribution of '{name}'", mechanism.is_sampled
        values = check_closure(partial(_evaluate, contribution), self._probes, chunk, sampled, what, self.device)
        shape, number = values.shape[1:], self.ledger.spent[name] + 1
        if mechanism.planned_shape not in (None, tuple(shape)):
            raise PrivacyError(f"{what} has shape {list(shape)} per record, not {list(mechanism.planned_shape or ())}")
        self._parts.noise.key.starts_from(f"release {number} of '{name}'", values)
        release = self._checkpoints.state(f"release {number} of {name}", [asdict(mechanism), list(shape)])
        stored = self._stored(release, mechanism, recipe.outcome(torch.zeros(shape)), number)
        if stored is not None:
            return stored
        total, receipt = self.door.behind(
            f"'{name}'", lambda: self._fresh(recipe, mechanism, number, contribution, chunk, shape)
        )
        release.save({"total": total, "receipt": asdict(receipt)})
        return total

    def _fresh(
        self, recipe: Recipe[Q], mechanism: Q, number: int, contribution: PerRecord, chunk: int, shape: torch.Size
    ) -> tuple[Tensor, Receipt]:
        """A fresh release, with this number."""
        records, total = self._parts.records, torch.zeros(shape, device=self.device)
        draws, rate = self._parts.noise.of(mechanism.name, number), mechanism.rate_at(number)
        batches = padded(records, draws.poisson_sample(len(records), rate), chunk, self.device)
        if rate == 1:  # progress must not show the size of a sample
            batches = self._shown(batches, f"query '{mechanism.name}'", chunk)
        with global_randomness(draws.seed(), self.device):
            for batch, real in batches:
                values = _evaluate(contribution, batch)
                if values.shape != (len(real), *shape):
                    raise PrivacyError(f"the contribution of '{mechanism.name}' changes its shape between calls")
                total += recipe.bounded_sum(values, real, mechanism.clip)
        if self.ledger.spent[mechanism.name] + 1 != number:
            raise PrivacyError(f"'{mechanism.name}' was released while it was computed; run the inner query first")
        [total], receipt = self._parts.release([total], mechanism, draws)
        return recipe.outcome(total), receipt

    def _stored(self, release: Checkpoint, mechanism: Query, like: Tensor, number: int) -> Tensor | None:
        """The result of a release, stored by an interrupted attempt at this run; None if there is none.

        Also restores the receipts up to the one with this number.

        Args:
            release: where the result is stored.
            mechanism: the release's mechanism.
            like: has the shape and type of the result.
            number: the release's number.
        """
        world = self._parts.world
        read = partial(torch.load, map_location=self.device, weights_only=True)
        stored = release.load(read) if world.leads else None
        is_stored = torch.tensor([float(stored is not None)], device=self.device)
        world.broadcast([is_stored])
        if not is_stored:
            return None
        total: Tensor = torch.empty_like(like, device=self.device) if stored is None else stored["total"]
        world.broadcast([total])
        self.ledger.restore(mechanism, number)
        return total

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
        clipping: str = "flat",
    ) -> DPSGDStepper:
        """See `PrivateData.dp_sgd` and `DPSGDStepper`."""
        self.door.require_open()
        mechanism = self.ledger.require(name, DPSGD)
        mechanism.refuse_other_data(self.spec.n_train)
        computed_by = engine_named(engine)
        refuse_sharded(model)
        self._parts.world.broadcast([*model.parameters(), *model.buffers()])
        weights = [p.detach().flatten() for p in model.parameters()]
        if not weights:
            raise PrivacyError("the model has no trainable parameters")
        refuse_closures(optimizer)
        self._starts_from(f"step {self.ledger.spent[name] + 1} of '{name}'", torch.cat(weights))
        gradients = CheckedGradients(
            computed_by, model, loss, self._probes, views, generator, name, self.device, self._precision, clipping
        )
        with gradients.closed_on_error():
            rows = micro_batch or gradients.rows_per_call(len(self._parts.records), mechanism.largest_rate)
            gradients.check_batches(self._agreed_rows(name, rows))
        return DPSGDStepper(self._parts, mechanism, gradients, optimizer, generator)

    def _starts_from(self, query: str, values: Tensor) -> None:
        """Notes the values that a query starts from, and what `derive` makes of two synthetic records."""
        key, derived = self._parts.noise.key, self._probes.take(2)[0].derived
        key.starts_from(query, values)
        if derived is not None:
            key.starts_from(f"the derived records of {query}", derived)

    def _agreed_rows(self, name: str, rows: int) -> int:
        """Rows per call of a loss, the same on all processes; a replay uses those of the first attempt."""
        rows = self._parts.noise.key.note(f"rows of step {self.ledger.spent[name] + 1} of '{name}'", rows)
        agreed = torch.tensor([float(rows)], device=self.device)
        self._parts.world.broadcast([agreed])
        return int(agreed)

    def sanitised_gradients(
        self, name: str, new: NewDiscriminator, generate: Generate, optimizer: torch.optim.Optimizer
    ) -> SanitisedSteps:
        """See `PrivateData.sanitised_gradients`; the proof is in `SanitisedGradients`."""
        self.door.require_open()
        mechanism = self.ledger.require(name, SanitisedGradients)
        return SanitisedSteps(self._parts, mechanism, new, generate, optimizer, self._probes, self._progress)

    def nearest_means(self, name: str, queries: Tensor) -> Tensor:
        """See `PrivateData.nearest_means`; the proof is in `NearestMean`.

        All releases are stored together, when the last one is made. An attempt that continues before that makes the
        same releases again; see `noise_key`.
        """
        self.door.require_open()
        mechanism = self.ledger.require(name, NearestMean)
        retrieval = Retrieval(self._parts, mechanism, queries, self.spec, self._probes)
        self._starts_from(f"the queries of '{name}'", queries)
        releases = self._checkpoints.state(f"releases of {name}", [asdict(mechanism), list(queries.shape)])
        stored = self._stored(releases, mechanism, torch.zeros(queries.shape), mechanism.releases)
        if stored is not None:
            return stored
        means = self.door.behind(f"'{name}'", lambda: retrieval.released(self._progress))
        releases.save({"total": means})
        return means

    def derive(
        self,
        per_record: Derive,
        chunk: int = 500,
        *,
        generator: torch.Generator | None = None,
        keep_images: bool = False,
    ) -> Vault:
        """See `PrivateData.derive`."""
        self.door.require_open()
        seed = None if generator is None else _drawn(generator)
        derivation = Derivation(per_record, self.device, seed, keep_images)
        check_closure(derivation.values, self._probes, chunk, False, "derive", self.device)
        vault = copy(self)
        vault._probes = self._probes.derive(derivation.of)
        records = self.door.behind("derive", lambda: self._derived(derivation, chunk))
        vault._parts = replace(self._parts, records=records)
        return vault

    def _derived(self, derivation: Derivation, chunk: int) -> Records:
        """The values of all records, by a checked computation."""
        records, rank = self._parts.records, self._parts.world.rank
        if self._lazy:
            return LazyRecords(records, derivation)
        without = replace(derivation, keep_images=False)
        batches = self._shown(padded(records, range(len(records)), chunk, self.device), "derive values", chunk)
        values = DerivedRecords(
            [without.of(batch, [rank, k]).map(partial(_chosen, real)) for k, (batch, real) in enumerate(batches)]
        )
        return WithImages(values, records) if derivation.keep_images else values

    def tokenize(self, tokenizer: Tokenize, captions: int, length: int) -> Vault:
        """See `PrivateData.tokenize`; the proof is in `Tokenization`."""
        self.door.require_open()
        tokenization = Tokenization(tokenizer, captions, length, self.device)
        tokenization.check(self._probes)
        vault = copy(self)
        vault._probes = self._probes.derive(tokenization.of)
        records = self.door.behind("tokenize", lambda: self._tokenized(tokenization))
        vault._parts = replace(self._parts, records=records)
        return vault

    def _tokenized(self, tokenization: Tokenization) -> Records:
        """The records with the tokens of their captions, by a checked tokenizer.

        Warnings count what is left out, but only for a public benchmark (rule R6).
        """
        records = self._parts.records
        if self._lazy:
            return LazyRecords(records, tokenization)
        batches = self._shown(padded(records, range(len(records)), CAPTIONED, "cpu"), "tokenize captions", CAPTIONED)
        parts, lost = [], Lost()
        for batch, real in batches:
            parts.append(_chosen(real, tokenization.tokens(batch)))
            if self.spec.public_benchmark:
                lost += tokenization.lost(batch.select(real), parts[-1])
        lost.warn(f"captions of {self.spec.name}")
        return WithTokens(records, torch.cat(parts))

    def _shown(self, batches: Iterator[tuple[Batch, Tensor]], what: str, chunk: int) -> Iterator[tuple[Batch, Tensor]]:
        """The batches of all records, with progress."""
        return track_long(self._progress, batches, what, len(self._parts.records), chunk, PATIENCE)

    def forfeit(self, name: str) -> None:
        """See `PrivateData.forfeit`."""
        self.door.require_open()
        self.ledger.forfeit(name)

    def unsafe_records(self, reason: str) -> Records:
        """See `PrivateData.unsafe_records`."""
        self.door.require_open()
        self.ledger.mark_unverified(reason)
        return self._parts.records


def _drawn(generator: torch.Generator) -> int:
    return int(torch.randint(2**62, (), generator=generator, device=generator.device))


def _evaluate(per_record: PerRecord, batch: Batch) -> Tensor:
    with torch.no_grad():
        return per_record(batch)


def _chosen(real: Tensor, tensor: Tensor) -> Tensor:
    return tensor[real].cpu()
