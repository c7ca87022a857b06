"""A rehearsal: a method's private phase on public records, where its gradients may be measured.

It is made from public records and from what the sensitive dataset declares, and never sees the sensitive dataset, so
what it measures costs no privacy.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from statistics import geometric_mean
from typing import Any

import torch
from torch import Tensor, nn

from dpbench.core.context import Precision
from dpbench.core.errors import PrivacyError
from dpbench.core.progress import Advance, Progress
from dpbench.core.specs import Budget, DatasetSpec
from dpbench.privacy.calibration import calibrate
from dpbench.privacy.checked_gradients import CheckedGradients
from dpbench.privacy.checks.probes import Probes
from dpbench.privacy.gradients.engine import Loss
from dpbench.privacy.gradients.engines import engine_named
from dpbench.privacy.ledger import Ledger, Receipt
from dpbench.privacy.mechanisms import DPSGD
from dpbench.privacy.noise import NoiseSource, global_randomness
from dpbench.privacy.noise_key import NoiseKey
from dpbench.privacy.plan import Plan
from dpbench.privacy.planner import Gradients
from dpbench.privacy.private_data import PerRecord, PrivateData
from dpbench.privacy.records import Records, padded
from dpbench.privacy.stand_in import StandIn, require_stand_in
from dpbench.privacy.vault import Vault

STEPS = 8
"""Steps without noise between the two measurements: what a few steps change says little about the rest of training."""

GROUPS = 64
"""Groups of records that a measurement compares."""

MEASURED = 2048
"""Records that a measurement uses, and that all steps together use."""

TINY = 1e-20
"""Squared norm that stands for a gradient of zero."""

UNSEEN = 0.1
"""Share of a mean's sampling noise below which a signal cannot be told from none."""


class Rehearsal(PrivateData):
    """`PrivateData` over public records, without noise, whose `dp_sgd` measures gradients.

    Sums and derived values come from a vault of its own, over the same records at ε = ∞. The raw records come from that
    vault's `unsafe_records`, so the ledger of a rehearsal is never verified.

    Args:
        records: public records in place of the sensitive ones.
        plan: the method's plan; its noise is ignored.
        device: where contributions and losses are computed.
        precision: what losses are computed in.

    Attributes:
        measured: the measurements, in order.

    Raises:
        PrivacyError: the records are no stand-in, or fewer than two are different.
    """

    def __init__(self, records: StandIn, plan: Plan, device: str = "cpu", precision: Precision = "fp32"):
        require_stand_in(records)
        if records.distinct < 2:
            raise PrivacyError("a rehearsal compares records: it needs at least two public ones")
        ledger = Ledger(calibrate(plan, Budget(math.inf, 1e-9)))
        noise = NoiseSource(device, NoiseKey.from_seed(0))
        self._vault = Vault(records, records.spec, ledger, noise, device, precision, lazy=True)
        self._records: Records = self._vault.unsafe_records("a rehearsal measures gradients without noise")
        self._distinct = records.distinct
        self._precision = precision
        self._probes = Probes.of(records.spec, device)
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

    def on_average(self) -> Gradients:
        """The geometric means of the measurements: gradients shrink by factors.

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
    ) -> RehearsalSteps:
        """See `PrivateData.dp_sgd` and `RehearsalSteps`."""
        self._vault.door.require_open()
        mechanism = self.ledger.require(name, DPSGD)
        mechanism.refuse_other_data(self.spec.n_train)
        gradients = CheckedGradients(
            engine_named(engine), model, loss, self._probes, views, generator, name, self.device, self._precision
        )
        with gradients.closed_on_error():
            most = min(gradients.rows_that_fit(), mechanism.expected_batch * views)
            gradients.check_batches(micro_batch or most)
        public = PublicGradients(self._records, self._distinct, gradients, generator.device, self.device)
        return RehearsalSteps(public, mechanism, optimizer, self.measured)

    def derive(self, per_record: PerRecord, chunk: int = 500) -> Rehearsal:
        """See `PrivateData.derive`; values are computed whenever they are read, as a rehearsal reads few records."""
        derived = copy(self)
        derived._vault = self._vault.derive(per_record, chunk)
        derived._records = derived._vault.unsafe_records("a rehearsal measures gradients without noise")
        derived._probes = self._probes.derive(torch.no_grad()(per_record))
        return derived

    def unsafe_records(self, reason: str) -> Records:
        """See `PrivateData.unsafe_records`."""
        return self._vault.unsafe_records(reason)


class PublicGradients:
    """Sums of per-example gradients over public records, without noise.

    Args:
        records: public.
        distinct: how many of them, from the first on, are different.
        gradients: of the model, checked.
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
        """The gradients of `MEASURED` records at the present weights."""
        records = self.draw(MEASURED, seed)
        size = max(1, len(records) // GROUPS)
        groups = [records[start : start + size] for start in range(0, len(records) - size + 1, size)]
        return compare(((self._flat(group, clip), self._flat(group, math.inf)) for group in groups), size, clip)

    def _flat(self, records: list[int], clip: float) -> Tensor:
        return torch.cat([t.flatten() for t in self.sums(records, clip)]).double()


class RehearsalSteps:
    """Takes `STEPS` steps without noise, and measures before the first and after the last.

    Args:
        public: gradients of the model that is trained.
        mechanism: gives the clip.
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


def compare(groups: Iterable[tuple[Tensor, Tensor]], size: int, clip: float) -> Gradients:
    """Estimates from sums over disjoint groups of records, without the bias that the norm of a noisy mean has.

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


class OnPublicData:
    """Labels every phase as a rehearsal, and drops its notes (of ε)."""

    def __init__(self, progress: Progress):
        self._progress = progress

    @contextmanager
    def phase(self, name: str, total: int) -> Iterator[Advance]:
        """Opens a bar of `total` steps."""
        with self._progress.phase(f"rehearsal on public data: {name}", total) as advance:
            yield lambda steps=1, note="": advance(steps)
