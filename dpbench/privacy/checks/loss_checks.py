"""Checks of the loss of `dp_sgd` on synthetic probe records: before the first step, and again during training.

A check at the first weights says little about later ones: a gate that starts at zero hides what is behind it, a loss
may change after a warm-up, a layer may be swapped. So the loss is also checked at randomly moved weights, and again
after steps 1, 2, 4, 8 ... and before the last. Around every step the model's tensors are compared (see `model_state`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch
from dpbench.privacy.checks.guard import WatchedLoss, guarded
from dpbench.privacy.checks.independence import (
    LEAST,
    SMALL,
    check_independent,
    check_layers,
    equal_rows,
    random_half,
    replace,
    shuffled,
    warn_if_not_finite,
)
from dpbench.privacy.checks.model_state import Layers, unchanged
from dpbench.privacy.checks.order import MovedDraws
from dpbench.privacy.checks.probes import Probes
from dpbench.privacy.gradients.engine import Loss
from dpbench.privacy.noise import global_randomness

ORDERS = 8
"""Orders in which a loss is tried before it counts as order-free: special treatment of few rows shows in some."""

FIRST_LOOK = 16
"""Number of records in the first look at a loss."""


class LossChecks:
    """The checks of one loss and model. They leave generators and weights exactly as they were.

    Args:
        model: as it will be trained, in train or eval mode.
        loss: see `gradients.Loss`.
        probes: synthetic records.
        views: rows per record.
        generator: the loss's generator.
        what: the loss's name in messages.
        tolerance: relative difference that rounding may cause when rows are in another order.

    Attributes:
        order_free: whether the loss is order-free; see `order`. Known after `check`.
        watched: the loss under guard, for private records.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        probes: Probes,
        views: int,
        generator: torch.Generator,
        what: str,
        tolerance: float,
    ):
        self.order_free = False
        self._model = model
        self._loss = loss
        self._probes = probes
        self._views = views
        self._generator = generator
        self._what = what
        self._tolerance = tolerance
        self._records = FIRST_LOOK
        self._layers = Layers(model)
        self.watched = WatchedLoss(model, loss, what)
        self._start = generator.get_state()

    def look(self) -> None:
        """A first look at the loss, on a few records.

        Raises:
            PrivacyError: a layer or the loss mixes records, the loss has another shape, or something other than its
                values leaves it.
        """
        check_layers(self._model)
        with self._replayed():
            probe, other = self._probes.take(self._records)
            values = self._guarded(probe)
            check_independent(self._values, values, probe, other, self._what)
            warn_if_not_finite(values, self._what, frames=5)

    def check(self, records: int) -> None:
        """All checks, on batches of the size that the loss will see.

        Args:
            records: records per call of the loss.

        Raises:
            PrivacyError: the loss mixes records, or something other than its values leaves it.
        """
        with self._replayed():
            self.order_free = self._check_batch(max(LEAST, records), backward=False)
            self._records = min(max(LEAST, records), max(FIRST_LOOK, SMALL // self._views))
            self.order_free = self.order_free and self._is_free_in_many_orders()
            with moved_weights(self._model):
                self.order_free = self._check_batch(self._records, thorough=True) and self.order_free

    def before_step(self, done: int, planned: int) -> None:
        """The checks before a step: the layers are always checked, the loss only when a check is due.

        Args:
            done: number of steps taken.
            planned: number of steps in all.

        Raises:
            PrivacyError: layers were changed, or the loss no longer passes.
        """
        self._layers.refuse_changes()
        check_layers(self._model)
        due = done > 0 and (done & (done - 1) == 0 or done == planned - 1)
        if self._layers.modes_changed() or due:
            self._check_again(done)
        self.watched.watch_next()

    def _check_again(self, done: int) -> None:
        with self._replayed():
            if not self._check_batch(self._records, done) and self.order_free:
                raise PrivacyError(
                    f"{self._what} did not depend on a record's place in the batch at first, but does after {done} "
                    "steps; make it depend on the place from the start, or never"
                )

    def _check_batch(self, records: int, seed: int = 0, thorough: bool = False, backward: bool = True) -> bool:
        """Checks that records do not mix and that nothing leaves the loss; returns whether it is order-free.

        If it is, the order check has also shown that records do not mix, up to the rounding that another order of rows
        causes.

        Args:
            records: number in the batch.
            seed: chooses the half that is replaced, and the other order.
            thorough: whether to replace both halves in place as well.
            backward: whether to guard the backward pass as well; large batches have the same hooks as small ones.
        """
        probe, other = self._probes.take(records)
        values = self._guarded(probe, backward)
        free = self._is_order_free(values, probe, other, seed)
        if thorough or not free:
            check_independent(self._values, values, probe, other, self._what, seed)
        return free

    def _is_free_in_many_orders(self) -> bool:
        probe, other = self._probes.take(self._records)
        values = self._values(probe)
        return all(self._is_order_free(values, probe, other, seed) for seed in range(1, ORDERS))

    def _is_order_free(self, values: Tensor, probe: Batch, other: Batch, seed: int = 0) -> bool:
        """Tries the records in another order with half of them, and their draws, replaced; see `order`."""
        kept = ~random_half(len(probe), seed)
        order = shuffled(len(probe), seed + 1)
        moved = replace(probe, other, ~kept).select(order)
        rows = (order[:, None] * self._views + torch.arange(self._views)).flatten()
        with MovedDraws(rows, kept.repeat_interleave(self._views)):
            changed = self._values(moved)
        order, kept = order.to(values.device), kept.to(values.device)
        return equal_rows(values, changed[order.argsort()], kept, self._tolerance)

    def _guarded(self, probe: Batch, backward: bool = True) -> Tensor:
        compute = self._values_and_backward if backward else self._values
        with unchanged(self._model, self._what):
            return guarded(compute, probe, self._what, self._model)

    def _values_and_backward(self, batch: Batch) -> Tensor:
        """Losses [records, views], after a backward pass, in which hooks see gradients."""
        values = self._with_graph(batch)
        if values.requires_grad:
            trained = [p for p in self._model.parameters() if p.requires_grad]
            torch.autograd.grad(values.sum(), trained, allow_unused=True)
        return values.detach()

    def _values(self, batch: Batch) -> Tensor:
        return self._with_graph(batch).detach()

    def _with_graph(self, batch: Batch) -> Tensor:
        """Losses [records, views], with the same draws in every call."""
        rows = len(batch) * self._views
        device = str(next(self._model.parameters()).device)
        with torch.enable_grad(), global_randomness(0, device):
            values = self._loss(self._model, batch.repeat(self._views), self._generator.set_state(self._start))
        if values.shape != (rows,):
            raise PrivacyError(f"{self._what} must give one value per row, shape ({rows},), not {tuple(values.shape)}")
        return values.reshape(-1, self._views)

    @contextmanager
    def _replayed(self) -> Iterator[None]:
        """Restores the generator at the end."""
        self._start = self._generator.get_state()
        try:
            yield
        finally:
            self._generator.set_state(self._start)


@contextmanager
def moved_weights(model: nn.Module) -> Iterator[None]:
    """Moves the trained weights at random, so that nothing hides behind zeros; restores them exactly at the end."""
    trained = [p for p in model.parameters() if p.requires_grad]
    before = [p.detach().clone() for p in trained]
    draws = torch.Generator(trained[0].device).manual_seed(0) if trained else None
    try:
        with torch.no_grad():
            for p in trained:
                usual = p[0].numel() ** -0.5 if p.ndim > 1 else 0.3  # that of fresh weights, if these are zero
                size = 0.5 * p.square().mean().sqrt().clamp_min(usual)
                p.add_(size * torch.randn(p.shape, generator=draws, device=p.device).to(p.dtype))
        yield
    finally:
        with torch.no_grad():
            for p, value in zip(trained, before, strict=True):
                p.copy_(value)
