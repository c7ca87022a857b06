"""Per-example gradients of a model, checked on synthetic probe records before a private record is read."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from dpbench.core.context import Precision
from dpbench.core.errors import DpbenchError, PrivacyError
from dpbench.core.specs import Batch
from dpbench.privacy.checks.engine_checks import check_engine, check_gradients
from dpbench.privacy.checks.independence import LEAST
from dpbench.privacy.checks.loss_checks import LossChecks, moved_weights
from dpbench.privacy.checks.probes import Probes
from dpbench.privacy.clipping import gamma_of
from dpbench.privacy.gradients.engine import GradientEngine, Loss
from dpbench.privacy.slots import records_per_call

ROUNDING: Mapping[Precision, float] = {"fp32": 1e-3, "bf16": 2e-2}
"""Largest relative difference that the order of rows may make to a loss, by precision."""


class CheckedGradients:
    """Clipped per-example gradients by an engine, with checks of the model and loss that they come from.

    It holds no records. A failed check leaves the model as it was found.

    Args:
        engine: how gradients are computed.
        model: its parameters with `requires_grad` are trained.
        loss: see `gradients.Loss`.
        probes: synthetic records of the shape that the loss will see.
        views: rows per record.
        generator: the loss's generator; left in the state in which it was given.
        what: the mechanism's name in messages.
        device: where the loss is computed.
        precision: what the loss is computed in; gradients are always summed in fp32.
        clipping: how gradients are clipped; a name in `CLIPPINGS`.

    Attributes:
        engine: the engine on this model and loss.
        checks: the checks of the loss.
        views: rows per record.
        records_per_call: records in one call of the loss; known after `check_batches`.

    Raises:
        UnknownName: there is no such clipping.
        PrivacyError: the loss or model mixes records, or the engine cannot differentiate the model.
    """

    def __init__(
        self,
        engine: type[GradientEngine],
        model: nn.Module,
        loss: Loss,
        probes: Probes,
        views: int,
        generator: torch.Generator,
        what: str,
        device: str,
        precision: Precision,
        clipping: str = "flat",
    ):
        gamma = gamma_of(clipping)
        self.views = views
        self.records_per_call = 1
        self._generator = generator
        self._start = generator.get_state()
        self._few = probes.take(LEAST)
        loss = _in_precision(loss, device, precision)
        self.checks = LossChecks(model, loss, probes, views, generator, f"the loss of '{what}'", ROUNDING[precision])
        self.checks.look()
        self.engine = engine(model, self.checks.watched, gamma)
        with self.closed_on_error(), _explained(engine):
            check_gradients(self.engine, *self._few, views, self._restart)
            with moved_weights(model):  # two records only: more would cost more than they show
                check_gradients(self.engine, *probes.take(2), views, self._restart)
            check_engine(self.engine, self._few[0].repeat(views), views, self._restart())

    def rows_per_call(self, n: int, rate: float) -> int:
        """Rows per call of the loss for Poisson samples of n records, limited by memory or cache."""
        fit = self.engine.rows_that_fit(self._few[0].repeat(self.views), self.views, self._restart())
        self._restart()
        return records_per_call(n, rate, max(1, fit // self.views)) * self.views

    def check_batches(self, rows: int) -> None:
        """Checks the loss on batches of the size that it will be given, and fixes that size.

        Args:
            rows: rows per call of the loss.

        Raises:
            PrivacyError: the loss mixes records, or something other than its values leaves it.
        """
        self.records_per_call = max(1, rows // self.views)
        self.checks.check(rows // self.views)

    def clipped_sums(
        self, batches: Iterable[tuple[Batch, Tensor]], clip: float, generator: torch.Generator
    ) -> list[Tensor]:
        """Σ over records of their clipped gradients: one fp32 tensor per trained parameter.

        Args:
            batches: (b records, bool [b] that is False on padding) each.
            clip: bound on the norm of a record's gradient.
            generator: randomness of the loss.
        """
        sums = [torch.zeros_like(p, dtype=torch.float32) for p in self.engine.parameters]
        for batch, real in batches:
            part = self.engine.clipped_sum(batch.repeat(self.views), real, self.views, clip, generator)
            self.checks.watched.refuse_kept()
            for total, addend in zip(sums, part, strict=True):
                total += addend
        return sums

    def step(self, sums: list[Tensor], batch: float, optimizer: torch.optim.Optimizer) -> None:
        """One step of the optimiser along `sums / batch`."""
        for parameter, total in zip(self.engine.parameters, sums, strict=True):
            parameter.grad = (total / batch).to(parameter.dtype)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    @contextmanager
    def closed_on_error(self) -> Iterator[None]:
        """Leaves the model as it was found if the block fails."""
        try:
            yield
        except BaseException:
            self.engine.close()
            raise

    def _restart(self) -> torch.Generator:
        return self._generator.set_state(self._start)


@contextmanager
def _explained(engine: type[GradientEngine]) -> Iterator[None]:
    """Adds advice if an engine fails on a loss that runs by itself. Only for probe records: the error message is shown.

    Raises:
        PrivacyError: in place of another exception.
    """
    try:
        yield
    except (DpbenchError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # whatever the libraries raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise PrivacyError(
            f"{engine.__name__} cannot differentiate this model and loss; {engine.advice} ({reason})"
        ) from error


def _in_precision(loss: Loss, device: str, precision: Precision) -> Loss:
    """The loss computed in a precision, its values fp32."""

    def wrapped(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bf16"):
            return loss(model, batch, generator).float()

    return wrapped


def refuse_closures(optimizer: torch.optim.Optimizer) -> None:
    """Refuses an optimiser whose step evaluates the loss again, which would fail after the first release.

    Raises:
        PrivacyError: as for L-BFGS, whose `step` needs a closure.
    """
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    if closure is not None and closure.default is closure.empty:
        raise PrivacyError(
            f"{type(optimizer).__name__} evaluates the loss in its step, which no release covers; use Adam or SGD"
        )
