"""What `dp_sgd` proves of a loss on made-up records: before the first step, and again as training goes on.

A proof at the first weights says little of later ones: a gate that starts at zero hides what is behind it, a loss may
change after a warm-up, a layer may be swapped. So the loss is proved at randomly moved weights, too, and again after
steps 1, 2, 4, 8 ... and before the last; and around every step the model's tensors are compared (see `model_state`).
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
"""Orders that a loss is tried in before it counts as free of order: what treats few rows otherwise shows in some."""

FIRST_LOOK = 16
"""Records of the first look at a loss."""


class LossChecks:
    """The proofs of one loss and model. Generators and weights are left exactly as they were.

    Args:
        model: as it will be trained, in train or eval mode.
        loss: see `gradients.Loss`.
        probes: made-up records.
        views: rows per record.
        generator: the loss's.
        what: the loss's name in messages.
        tolerance: relative difference that rounding may make between rows in another order.

    Attributes:
        order_free: whether the loss is free of order; see `order`. Known after `prove`.
        watched: the loss, to be given private records.
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
            PrivacyError: a layer or the loss mixes records, the loss has another shape, or something but its values
                leaves it.
        """
        check_layers(self._model)
        with self._replayed():
            probe, other = self._probes.take(self._records)
            values = self._guarded(probe)
            check_independent(self._values, values, probe, other, self._what)
            warn_if_not_finite(values, self._what)

    def prove(self, records: int) -> None:
        """The whole proof, on batches as large as they will be.

        Args:
            records: of one call of the loss.

        Raises:
            PrivacyError: the loss mixes records, or something but its values leaves it.
        """
        with self._replayed():
            self.order_free = self._proved(max(LEAST, records), backward=False)
            self._records = min(max(LEAST, records), max(FIRST_LOOK, SMALL // self._views))
            self.order_free = self.order_free and self._is_free_in_many_orders()
            with moved_weights(self._model):
                self.order_free = self._proved(self._records, thorough=True) and self.order_free

    def before_step(self, done: int, planned: int) -> None:
        """What is checked before a step: the layers always, the loss again where it is due.

        Args:
            done: steps that were taken.
            planned: steps in all.

        Raises:
            PrivacyError: layers were changed, or the loss is not what was proved.
        """
        self._layers.refuse_changes()
        check_layers(self._model)
        due = done > 0 and (done & (done - 1) == 0 or done == planned - 1)
        if self._layers.modes_changed() or due:
            self._prove_again(done)
        self.watched.watch_next()

    def _prove_again(self, done: int) -> None:
        with self._replayed():
            if not self._proved(self._records, done) and self.order_free:
                raise PrivacyError(
                    f"{self._what} did not depend on a record's place in the batch at first, and does after {done} "
                    "steps; let it depend on it from the start, or never"
                )

    def _proved(self, records: int, seed: int = 0, thorough: bool = False, backward: bool = True) -> bool:
        """Proves that records do not mix and that nothing leaves the loss; says whether it is free of order.

        Where it is, that proves what is to be proved about mixing, but for differences as small as rounding makes
        between rows in another order.

        Args:
            records: of the batch.
            seed: chooses the half that is replaced, and the other order.
            thorough: whether to replace both halves in their places, too.
            backward: whether to guard the backward pass, too: large batches have the hooks that small ones have.
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
        """One call on the records in another order, half of them and of their draws replaced; see `order`."""
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
        """The same with the backward pass, in which hooks see gradients."""
        values = self._with_graph(batch)
        if values.requires_grad:
            trained = [p for p in self._model.parameters() if p.requires_grad]
            torch.autograd.grad(values.sum(), trained, allow_unused=True)
        return values.detach()

    def _values(self, batch: Batch) -> Tensor:
        return self._with_graph(batch).detach()

    def _with_graph(self, batch: Batch) -> Tensor:
        """Losses [records, views], with the same draws at every call."""
        rows = len(batch) * self._views
        device = str(next(self._model.parameters()).device)
        with torch.enable_grad(), global_randomness(0, device):
            values = self._loss(self._model, batch.repeat(self._views), self._generator.set_state(self._start))
        if values.shape != (rows,):
            raise PrivacyError(f"{self._what} must give one value per row, shape ({rows},), not {tuple(values.shape)}")
        return values.reshape(-1, self._views)

    @contextmanager
    def _replayed(self) -> Iterator[None]:
        """The generator as before, afterwards."""
        self._start = self._generator.get_state()
        try:
            yield
        finally:
            self._generator.set_state(self._start)


@contextmanager
def moved_weights(model: nn.Module) -> Iterator[None]:
    """The trained weights moved at random, and exactly as before afterwards: nothing is hidden behind zeros."""
    trained = [p for p in model.parameters() if p.requires_grad]
    before = [p.detach().clone() for p in trained]
    draws = torch.Generator(trained[0].device).manual_seed(0) if trained else None
    try:
        with torch.no_grad():
            for p in trained:
                usual = p[0].numel() ** -0.5 if p.ndim > 1 else 0.3  # that of fresh weights, where these are zero
                size = 0.5 * p.square().mean().sqrt().clamp_min(usual)
                p.add_(size * torch.randn(p.shape, generator=draws, device=p.device).to(p.dtype))
        yield
    finally:
        with torch.no_grad():
            for p, value in zip(trained, before, strict=True):
                p.copy_(value)
