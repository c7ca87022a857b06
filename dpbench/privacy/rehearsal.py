"""A rehearsal: a method's private phase on public records, where its gradients may be measured.

It is made from public records and from the declaration of the sensitive dataset, and never sees the sensitive dataset
itself, so its measurements cost no privacy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from statistics import geometric_mean
from typing import Any

import torch
from torch import Tensor, nn

from dpbench.core.caption_tokens import Tokenize
from dpbench.core.context import Precision
from dpbench.core.errors import PrivacyError
from dpbench.core.progress import Advance, Progress
from dpbench.core.specs import Budget, DatasetSpec, Request
from dpbench.privacy.calibration import calibrate
from dpbench.privacy.checked_gradients import CheckedGradients
from dpbench.privacy.gradients.engine import Loss
from dpbench.privacy.gradients.engines import engine_named
from dpbench.privacy.ledger import Ledger, Receipt
from dpbench.privacy.mechanisms.mechanism import DPSGD
from dpbench.privacy.noise import NoiseSource
from dpbench.privacy.noise_key import NoiseKey
from dpbench.privacy.plan import Plan
from dpbench.privacy.planner import Gradients
from dpbench.privacy.private_data import Derive, PerRecord, PrivateData
from dpbench.privacy.public_gradients import MEASURED, PublicGradients
from dpbench.privacy.records import Records
from dpbench.privacy.sanitised_steps import Generate, NewDiscriminator, SanitisedSteps
from dpbench.privacy.stand_in import StandIn, require_stand_in
from dpbench.privacy.vault import NO_REQUEST, Vault

STEPS = 8
"""Steps without noise between the two measurements; what a few steps change says little about the rest of training."""


class Rehearsal(PrivateData):
    """`PrivateData` over public records, without noise, whose `dp_sgd` measures gradients.

    Sums and derived values come from a vault of its own, over the same records at ε = ∞. The raw records come from that
    vault's `unsafe_records`, so the ledger of a rehearsal is never verified.

    Args:
        records: public records in place of the sensitive ones.
        plan: the method's plan; its noise is ignored.
        device: where contributions and losses are computed.
        precision: what losses are computed in.
        request: what would be sampled.

    Attributes:
        measured: the measurements, in order.

    Raises:
        PrivacyError: the records are not a `StandIn`, or fewer than two of them are different.
    """

    def __init__(
        self,
        records: StandIn,
        plan: Plan,
        device: str = "cpu",
        precision: Precision = "fp32",
        request: Request = NO_REQUEST,
    ):
        require_stand_in(records)
        if records.distinct < 2:
            raise PrivacyError("a rehearsal compares records: it needs at least two public ones")
        ledger = Ledger(calibrate(plan, Budget(math.inf, 1e-9)))
        noise = NoiseSource(device, NoiseKey.from_seed(0))
        self._vault = Vault(records, records.spec, ledger, noise, device, precision, lazy=True, request=request)
        self._records: Records = self._vault.unsafe_records("a rehearsal measures gradients without noise")
        self._distinct = records.distinct
        self._precision = precision
        self.measured: list[Gradients] = []

    @property
    def spec(self) -> DatasetSpec:
        """What the sensitive dataset declares."""
        return self._vault.spec

    @property
    def device(self) -> str:
        """See `PrivateData`."""
        return self._vault.device

    @property
    def ledger(self) -> Ledger:
        """The plan at ε = ∞."""
        return self._vault.ledger

    @property
    def request(self) -> Request:
        """See `PrivateData`."""
        return self._vault.request

    def on_average(self) -> Gradients:
        """The geometric means of the measurements, because gradients shrink by factors.

        Raises:
            PrivacyError: nothing was measured, because `dp_sgd` was not used.
        """
        if not self.measured:
            raise PrivacyError("the method's fit takes no DP-SGD steps that could be measured")
        return Gradients(
            self.measured[0].weights,
            *(geometric_mean(getattr(g, name) for g in self.measured) for name in ("signal", "rms", "pull")),
        )

    def noisy_sum(self, name: str, contribution: PerRecord, chunk: int = 500) -> Tensor:
        """See `PrivateData.noisy_sum`; without noise."""
        return self._vault.noisy_sum(name, contribution, chunk)

    def laplace_sum(self, name: str, contribution: PerRecord, chunk: int = 500) -> Tensor:
        """See `PrivateData.laplace_sum`; without noise."""
        return self._vault.laplace_sum(name, contribution, chunk)

    def exponential_choice(self, name: str, scores: PerRecord, chunk: int = 500) -> int:
        """See `PrivateData.exponential_choice`; without noise."""
        return self._vault.exponential_choice(name, scores, chunk)

    def noisy_max(self, name: str, scores: PerRecord, chunk: int = 500) -> int:
        """See `PrivateData.noisy_max`; without noise."""
        return self._vault.noisy_max(name, scores, chunk)

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
    ) -> RehearsalSteps:
        """See `PrivateData.dp_sgd` and `RehearsalSteps`."""
        self._vault.door.require_open()
        mechanism = self.ledger.require(name, DPSGD)
        mechanism.refuse_other_data(self.spec.n_train)
        gradients = CheckedGradients(
            engine_named(engine), model, loss, self._vault.probes, views, generator, name, self.device, self._precision,
            clipping,
        )  # fmt: skip
        with gradients.closed_on_error():
            rows = micro_batch or gradients.rows_per_call(self.spec.n_train, mechanism.sampling_rate)
            gradients.check_batches(rows)
        public = PublicGradients(self._records, self._distinct, gradients, generator.device, self.device)
        return RehearsalSteps(public, mechanism, optimizer, self.measured)

    def sanitised_gradients(
        self, name: str, new: NewDiscriminator, generate: Generate, optimizer: torch.optim.Optimizer
    ) -> SanitisedSteps:
        """See `PrivateData.sanitised_gradients`; without noise, and not measured."""
        return self._vault.sanitised_gradients(name, new, generate, optimizer)

    def nearest_means(self, name: str, queries: Tensor) -> Tensor:
        """See `PrivateData.nearest_means`; without noise."""
        return self._vault.nearest_means(name, queries)

    def tokenize(self, tokenizer: Tokenize, captions: int, length: int) -> Rehearsal:
        """See `PrivateData.tokenize`; captions are tokenized whenever they are read."""
        return self._over(self._vault.tokenize(tokenizer, captions, length))

    def derive(
        self,
        per_record: Derive,
        chunk: int = 500,
        *,
        generator: torch.Generator | None = None,
        keep_images: bool = False,
    ) -> Rehearsal:
        """See `PrivateData.derive`; values are computed whenever they are read, as a rehearsal reads few records."""
        return self._over(self._vault.derive(per_record, chunk, generator=generator, keep_images=keep_images))

    def _over(self, vault: Vault) -> Rehearsal:
        """The rehearsal over the records of a derived vault."""
        derived = copy(self)
        derived._vault = vault
        derived._records = vault.unsafe_records("a rehearsal measures gradients without noise")
        return derived

    def unsafe_records(self, reason: str) -> Records:
        """See `PrivateData.unsafe_records`."""
        return self._vault.unsafe_records(reason)


class RehearsalSteps:
    """Takes `STEPS` steps without noise, and measures before the first and after the last.

    Args:
        public: gradients of the model that is trained.
        mechanism: determines the clip.
        optimizer: takes the mean gradient of each step.
        measured: where measurements are appended.
    """

    key = "rehearsal"

    def __init__(
        self, public: PublicGradients, mechanism: DPSGD, optimizer: torch.optim.Optimizer, measured: list[Gradients]
    ):
        self._public = public
        self._mechanism = mechanism
        self._optimizer = optimizer
        self._measured = measured
        self._done = 0

    def __len__(self) -> int:
        return STEPS

    def __iter__(self) -> Iterator[Receipt]:
        return self

    def __next__(self) -> Receipt:
        if self._done == STEPS:
            raise StopIteration
        clip, gradients = self._mechanism.clip, self._public.gradients
        if self._done == 0:
            self._measured.append(self._public.measure(self._done, clip))
        records = self._public.draw(MEASURED // STEPS, self._done)
        gradients.step(self._public.sums(records, clip), len(records), self._optimizer)
        self._done += 1
        if self._done == STEPS:
            self._measured.append(self._public.measure(self._done, clip))
            gradients.engine.close()
        return Receipt(self._mechanism.name, self._done, STEPS)

    def state_dict(self) -> dict[str, Any]:
        """The number of steps that are done."""
        return {"done": self._done}

    def load_state_dict(self, state: Mapping[str, Any]) -> int:
        """Continues after the stored steps; returns their number."""
        self._done = int(state["done"])
        return self._done


class OnPublicData:
    """Labels every phase as a rehearsal, and drops its notes (of ε)."""

    def __init__(self, progress: Progress):
        self._progress = progress

    @contextmanager
    def phase(self, name: str, total: int) -> Iterator[Advance]:
        """Opens a bar of `total` steps."""
        with self._progress.phase(f"rehearsal on public data: {name}", total) as advance:
            yield lambda steps=1, note="": advance(steps)
