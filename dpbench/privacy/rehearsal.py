"""A rehearsal: a method's private phase on public records, where its gradients may be looked at.

`PublicProbe` stands where the vault stands, and is made from public records and what the sensitive dataset declares.
It has never seen the sensitive dataset, so what it measures costs no privacy.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from statistics import geometric_mean
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from dpbench.core.context import Precision
from dpbench.core.data import ImageDataset
from dpbench.core.errors import PrivacyError
from dpbench.core.progress import Advance, Progress
from dpbench.core.specs import Batch, Budget, DatasetSpec
from dpbench.privacy.calibration import calibrate
from dpbench.privacy.checks.probes import made_up_conditions
from dpbench.privacy.ledger import Ledger, Receipt
from dpbench.privacy.noise import NoiseSource, global_randomness
from dpbench.privacy.noise_key import NoiseKey
from dpbench.privacy.plan import Plan
from dpbench.privacy.planner import Gradients
from dpbench.privacy.private_data import PerRecord, PrivateData
from dpbench.privacy.records import Records, padded
from dpbench.privacy.stepper import DPSGDStepper

STEPS = 8
"""Steps without noise between the two measurements: what a few steps remove says little of the rest of a training."""

GROUPS = 64
"""Groups of records that a measurement compares."""

MEASURED = 2048
"""Records that a measurement looks at, and that all steps together take."""

TINY = 1e-20
"""Square of a gradient that is none."""

UNSEEN = 0.1
"""Share of a mean's sampling noise below which a signal cannot be told from none."""


class StandIn(ImageDataset):
    """Public records in the place of sensitive ones: as many, of the same shape, with labels or captions alike.

    They are repeated where they are fewer. Labels are the public ones modulo the number of classes, and captions the
    public ones padded or cut to the declared length. Records without one get it at random, always the same.

    Args:
        public: public images of the sensitive images' shape.
        spec: what the sensitive dataset declares.
    """

    def __init__(self, public: ImageDataset, spec: DatasetSpec):
        self.spec = spec
        self.distinct = min(len(public), spec.n_train)
        self._public = public
        made_up = torch.Generator().manual_seed(0)
        self._made_up = made_up_conditions(spec, len(public), made_up)

    def __len__(self) -> int:
        return self.spec.n_train

    def batch(self, indices: Sequence[int]) -> Batch:
        """See `ImageDataset.batch`."""
        chosen = [i % len(self._public) for i in indices]
        batch = self._public.batch(chosen)
        return replace(batch, condition=self._condition(batch, chosen))

    def _condition(self, batch: Batch, chosen: list[int]) -> Tensor | None:
        """The public records' labels or captions where they are of the declared kind, else made-up ones."""
        if self.spec.n_classes and batch.labels is not None:
            return batch.labels % self.spec.n_classes
        if self.spec.caption_bytes and batch.captions is not None:
            return pad(batch.captions, (0, self.spec.caption_bytes - batch.captions.shape[1]))
        return None if self._made_up is None else self._made_up[chosen]

    @property
    def fingerprint(self) -> str:
        """That of the public records."""
        return self._public.fingerprint


class PublicProbe(PrivateData):
    """A vault of public records that adds no noise, and whose `dp_sgd` measures gradients.

    Args:
        public: public images of the sensitive images' shape.
        spec: what the sensitive dataset declares.
        plan: the method's plan; its noise is not minded.
        device: where contributions and losses are computed.
        precision: what losses are computed in.

    Attributes:
        measured: what each measurement found, in order.

    Raises:
        PrivacyError: there are fewer than two public records.
    """

    def __init__(
        self, public: ImageDataset, spec: DatasetSpec, plan: Plan, device: str = "cpu", precision: Precision = "fp32"
    ):
        records = StandIn(public, spec)
        ledger = Ledger(calibrate(plan, Budget(math.inf, 1e-9)))
        super().__init__(records, spec, ledger, NoiseSource(device, NoiseKey.from_seed(0)), device, precision)
        self.distinct = records.distinct
        if self.distinct < 2:
            raise PrivacyError("a rehearsal compares records: it needs two public ones at least")
        self.measured: list[Gradients] = []

    def on_average(self) -> Gradients:
        """The measurements' geometric means, as they fall by factors.

        Raises:
            PrivacyError: nothing was measured, as `dp_sgd` was not used.
        """
        if not self.measured:
            raise PrivacyError("the method's fit takes no DP-SGD steps that could be measured")
        return Gradients(
            self.measured[0].weights,
            *(geometric_mean(getattr(g, name) for g in self.measured) for name in ("signal", "rms", "pull")),
        )

    def _stepper(self, *parts: Any) -> RehearsalStepper:
        return RehearsalStepper(self, *parts)

    def _derived(self, per_record: PerRecord, chunk: int) -> Records:
        return _Derived(self._records, per_record, self.device)


class _Derived:
    """What `derive` would make of all records, made when a batch asks for it: a rehearsal looks at few."""

    def __init__(self, records: Records, per_record: PerRecord, device: str):
        self._records = records
        self._per_record = per_record
        self._device = device

    def __len__(self) -> int:
        return len(self._records)

    @torch.no_grad()
    def batch(self, indices: Sequence[int]) -> Batch:
        batch = self._records.batch(indices).to(self._device)
        return replace(batch, images=None, derived=self._per_record(batch)).to("cpu")


class RehearsalStepper(DPSGDStepper):
    """Takes `STEPS` steps without noise, and measures before the first and after the last."""

    _vault: PublicProbe
    _done = 0

    def __len__(self) -> int:
        return STEPS

    def __next__(self) -> Receipt:
        if self._done == STEPS:
            raise StopIteration
        if self._done == 0:
            self._vault.measured.append(self._measure())
        self._step(self._draw(MEASURED // STEPS))
        self._done += 1
        if self._done == STEPS:
            self._vault.measured.append(self._measure())
            self._engine.close()
        return Receipt(self._mechanism.name, self._done, STEPS)

    def _draw(self, most: int) -> list[int]:
        """Different records at random, the same in every rehearsal."""
        draws = torch.Generator().manual_seed(self._done)
        return torch.randperm(self._vault.distinct, generator=draws)[:most].tolist()

    def _measure(self) -> Gradients:
        records = self._draw(MEASURED)
        size = max(1, len(records) // GROUPS)
        groups = [records[start : start + size] for start in range(0, len(records) - size + 1, size)]
        clip = self._mechanism.clip
        return compare(((self._flat(group, clip), self._flat(group, math.inf)) for group in groups), size, clip)

    def _flat(self, records: list[int], clip: float) -> Tensor:
        return torch.cat([t.flatten() for t in self._sums(records, clip)]).double()

    def _step(self, records: list[int]) -> None:
        for parameter, total in zip(self._engine.parameters, self._sums(records, self._mechanism.clip), strict=True):
            parameter.grad = (total / len(records)).to(parameter.dtype)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    def _sums(self, records: list[int], clip: float) -> list[Tensor]:
        """Σ over records of their gradients, clipped: one tensor per trained parameter."""
        sums = [torch.zeros_like(p, dtype=torch.float32) for p in self._engine.parameters]
        seed = records[0]
        generator = torch.Generator(self._generator.device).manual_seed(seed)
        rows = min(self._records_per_call, len(records))
        with global_randomness(seed, self._vault.device):
            for batch, real in padded(self._vault._records, records, rows, self._vault.device):
                part = self._engine.clipped_sum(batch.repeat(self._views), real, self._views, clip, generator)
                for total, addend in zip(sums, part, strict=True):
                    total += addend
        return sums


def compare(groups: Iterable[tuple[Tensor, Tensor]], size: int, clip: float) -> Gradients:
    """Estimates from sums over disjoint groups of records, without the bias that the norm of a noisy mean has.

    Sums a_k and a_l of different groups share no record, so ⟨a_k, a_l⟩ is size² · ‖h‖² on average: no sampling noise is
    squared. All pairs are averaged at once, by ‖Σ a_k‖² - Σ ‖a_k‖². What ‖a_k‖² has beyond that are its records' own
    norms.

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
    """Says of every phase that it is a rehearsal, and keeps its notes (of ε) to itself."""

    def __init__(self, progress: Progress):
        self._progress = progress

    @contextmanager
    def phase(self, name: str, total: int) -> Iterator[Advance]:
        """Opens a bar of `total` steps."""
        with self._progress.phase(f"rehearsal on public data: {name}", total) as advance:
            yield lambda steps=1, note="": advance(steps)
