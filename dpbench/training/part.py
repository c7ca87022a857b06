"""One model in training, with its stepper, learning rate and moving average."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from dpbench.core.errors import DpbenchError

Schedule = Literal["linear", "constant"]
"""Learning rate: it rises linearly, then falls linearly to zero; or it stays as it is."""


class Stepper(Protocol):
    """An iterator that takes one optimiser step per item, such as `PublicSteps` or the vault's `dp_sgd`."""

    key: Any
    """The inputs of the steps other than code and weights (JSON-like)."""

    def __next__(self) -> object: ...

    def __len__(self) -> int: ...

    def state_dict(self) -> dict[str, Any]:
        """The progress of the stepper, as numbers, strings and tensors."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> int:
        """Restores `state_dict()`; returns the number of completed steps."""
        ...


class Part:
    """A model and what its training needs.

    Args:
        stepper: takes the optimiser steps.
        model: its parameters with `requires_grad` are trained.
        optimizer: the stepper's optimiser. Its learning rate follows the schedule.
        warmup: share of the steps with rising learning rate, for the linear schedule.
        ema: decay of the exponential moving average of the trained weights, which replaces the weights at the end;
            None keeps the last weights.
        ema_warmup: whether the decay is (1 + k) / (10 + k) in step k as long as that is smaller, so that the first
            weights count little in a short training.
        schedule: see `Schedule`.

    Attributes:
        stepper: as given.
        steps: number of steps.
        done: number of completed steps.
    """

    def __init__(
        self,
        stepper: Stepper,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        warmup: float = 0.05,
        ema: float | None = None,
        ema_warmup: bool = False,
        schedule: Schedule = "linear",
    ):
        self.steps, self.done = len(stepper), 0
        self.stepper, self._model, self._optimizer = stepper, model, optimizer
        self._settings = [self.steps, warmup, ema, ema_warmup, schedule]
        self._schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, SCHEDULES[schedule](self.steps, warmup))
        self._trained = nn.ParameterList(p for p in model.parameters() if p.requires_grad)
        averages = _warmed_up if ema_warmup else get_ema_multi_avg_fn
        self._average = None if ema is None else AveragedModel(self._trained, multi_avg_fn=averages(ema))

    def step(self) -> bool:
        """Takes a step; False if there is none left."""
        try:
            next(self.stepper)
        except StopIteration:
            return False
        self.done += 1
        self._schedule.step()
        if self._average is not None:
            self._average.update_parameters(self._trained)
        return True

    def finish(self) -> None:
        """Replaces the weights by their moving average, if there is one."""
        if self._average is not None:
            self._trained.load_state_dict(self._average.module.state_dict())

    def require_finite(self) -> None:
        """Checks that the trained weights are finite.

        Raises:
            DpbenchError: training diverged.
        """
        broken = [name for name, p in self._model.named_parameters() if p.requires_grad and not p.isfinite().all()]
        if broken:
            raise DpbenchError(
                f"training diverged: {broken[0]} is not finite after {self.done} of {self.steps} steps; try a smaller "
                "learning rate"
            )

    def key(self) -> Any:
        """A key that distinguishes this training from others (JSON-like)."""
        shapes = [(name, list(value.shape)) for name, value in self._model.state_dict().items()]
        return [*self._settings, self.stepper.key, type(self._optimizer).__name__, shapes]

    def state_dict(self) -> dict[str, Any]:
        """Stepper, weights, optimiser, schedule and moving average."""
        return {name: part.state_dict() for name, part in self._stored().items()} | {
            "stepper": self.stepper.state_dict()
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores `state_dict()`."""
        for name, part in self._stored().items():
            part.load_state_dict(state[name])
        self.done = self.stepper.load_state_dict(state["stepper"])

    def _stored(self) -> dict[str, Any]:
        always = {"model": self._model, "optimizer": self._optimizer, "schedule": self._schedule}
        return always if self._average is None else always | {"average": self._average}


def _linear(steps: int, warmup: float) -> Callable[[int], float]:
    rise = max(1, round(warmup * steps))
    return lambda step: min((step + 1) / rise, (steps - step) / max(1, steps - rise))


def _constant(steps: int, warmup: float) -> Callable[[int], float]:
    return lambda step: 1.0


SCHEDULES: Mapping[Schedule, Callable[[int, float], Callable[[int], float]]] = {
    "linear": _linear,
    "constant": _constant,
}
"""(steps, share of rising ones) -> step -> the share of the peak learning rate."""


def _warmed_up(ema: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]:
    """An average whose decay rises to `ema`: the usual warm-up, as in TensorFlow's `ExponentialMovingAverage`."""

    def average(averaged: Sequence[Tensor], current: Sequence[Tensor], done: Tensor | int) -> None:
        decay = min(ema, (1 + int(done)) / (10 + int(done)))
        get_ema_multi_avg_fn(decay)(averaged, current, done)

    return average
