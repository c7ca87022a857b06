"""Bugs to plant into the real code of the vault, one function each: planted where it would be made."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from dpbench.core.specs import Batch
from dpbench.privacy import clipping
from dpbench.privacy.gradients import bookkeeping
from dpbench.privacy.gradients import engine as gradients
from dpbench.privacy.gradients.bookkeeping import BookKeepingEngine
from dpbench.privacy.ledger import Ledger, Receipt
from dpbench.privacy.mechanisms.mechanism import Mechanism
from dpbench.privacy.noise import Draws, NoiseSource
from dpbench.privacy.parts import Parts

Plant = Callable[[pytest.MonkeyPatch], None]


def no_clipping(patch: pytest.MonkeyPatch) -> None:
    """Contributions of any norm go into the sum."""

    def weights(squares: Tensor, real: Tensor, clip: float, gamma: float | None = None) -> tuple[Tensor, Tensor]:
        return (real & squares.isfinite()).float(), squares.isfinite()

    for module in (gradients, bookkeeping, clipping):
        patch.setattr(module, "clip_weights", weights)


def halved_noise(patch: pytest.MonkeyPatch) -> None:
    """Half of the planned noise multiplier."""
    draw = Draws.gaussian
    patch.setattr(Draws, "gaussian", lambda self, shape, std: draw(self, shape, std / 2))


def one_seed_for_all_releases(patch: pytest.MonkeyPatch) -> None:
    """Every release draws what the first one drew."""
    of = NoiseSource.of
    patch.setattr(NoiseSource, "of", lambda self, mechanism, number: of(self, mechanism, 1))


def one_seed_for_all_tensors(patch: pytest.MonkeyPatch) -> None:
    """Every tensor of a release begins the release's noise anew."""

    def gaussian(self: Draws, shape: tuple[int, ...], std: float) -> Tensor:
        self.seeded = getattr(self, "seeded", None) or self.seed()
        return std * torch.randn(shape, generator=torch.Generator().manual_seed(self.seeded))

    patch.setattr(Draws, "gaussian", gaussian)


def shuffled_batches(patch: pytest.MonkeyPatch) -> None:
    """Batches of one size from a shuffled order of the records, where Poisson samples are planned."""
    order: list[int] = []

    def sample(self: Draws, n: int, rate: float) -> list[int]:
        size = round(n * rate)
        if len(order) < size:
            order[:] = torch.randperm(n).tolist()
        return [order.pop() for _ in range(size)]

    patch.setattr(Draws, "poisson_sample", sample)


def _note_batches(patch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Counts the records of each sample; returns a function that gives the last count."""
    draw, counts = Draws.poisson_sample, [0]

    def sample(self: Draws, n: int, rate: float) -> list[int]:
        drawn = draw(self, n, rate)
        counts.append(len(drawn))
        return drawn

    patch.setattr(Draws, "poisson_sample", sample)
    return lambda: counts[-1]


def realised_divisor(patch: pytest.MonkeyPatch) -> None:
    """A mean over the batch that was drawn: clip and noise then depend on how many records it has."""
    drawn, release = _note_batches(patch), Parts.release

    def divided(self: Parts, sums: list[Tensor], mechanism: Mechanism, draws: Draws) -> Any:
        noisy, receipt = release(self, sums, mechanism, draws)
        expected = mechanism.sampling_rate * len(self.records)
        return [total * expected / max(1, drawn()) for total in noisy], receipt

    patch.setattr(Parts, "release", divided)


def skipped_empty_batch(patch: pytest.MonkeyPatch) -> None:
    """A step over an empty sample does nothing."""
    drawn, release = _note_batches(patch), Parts.release

    def skipping(self: Parts, sums: list[Tensor], mechanism: Mechanism, draws: Draws) -> Any:
        return release(self, sums, mechanism, draws) if drawn() else (sums, self.ledger.spend(mechanism))

    patch.setattr(Parts, "release", skipping)


def double_counted_views(patch: pytest.MonkeyPatch) -> None:
    """The gradient of each view is clipped, not that of the record."""
    clipped = BookKeepingEngine.clipped_sum

    def of_views(
        self: BookKeepingEngine, batch: Batch, real: Tensor, views: int, clip: float, generator: torch.Generator
    ) -> list[Tensor]:
        return clipped(self, batch, real.repeat_interleave(views), 1, clip, generator)

    patch.setattr(BookKeepingEngine, "clipped_sum", of_views)


def _miscount(patch: pytest.MonkeyPatch, by: int) -> None:
    spend = Ledger.spend

    def miscounting(self: Ledger, mechanism: Mechanism) -> Receipt:
        if not getattr(self, "began", False):
            self.began = True
            self.spent[mechanism.name] += by
        return spend(self, mechanism)

    patch.setattr(Ledger, "spend", miscounting)


one_step_too_many: Plant = partial(_miscount, by=-1)
one_step_too_many.__doc__ = "The ledger forgets the first release, so that one more is made than is accounted for."  # type: ignore[attr-defined]

one_step_too_few: Plant = partial(_miscount, by=1)
one_step_too_few.__doc__ = "The ledger counts the first release twice."  # type: ignore[attr-defined]
