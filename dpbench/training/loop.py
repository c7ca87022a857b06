"""The training loop for public and private steppers: schedule, moving average, progress and checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from dpbench.core.context import RunContext
from dpbench.training.state import TrainingState

CHECKPOINT_SECONDS = 60.0
"""Minimum time between two checkpoints of a phase, in seconds."""

NOTE_SECONDS = 2.0
"""Minimum time between two updates of the note, in seconds. Composing ε may take longer than a step."""


class Stepper(Protocol):
    """An iterator that takes one optimiser step per item, such as `PublicSteps` or the vault's `dp_sgd`."""

    key: Any
    """The inputs of the steps other than code and weights (JSON-like)."""

    def __iter__(self) -> Iterator[object]: ...

    def __len__(self) -> int: ...

    def state_dict(self) -> dict[str, Any]:
        """The progress of the stepper, as numbers, strings and tensors."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> int:
        """Restores `state_dict()`; returns the number of completed steps."""
        ...


class PublicSteps:
    """Plain optimiser steps on public data.

    Args:
        loss: called once per step under the run's autocast; returns a scalar.
        optimizer: optimiser of the trained parameters.
        steps: number of steps.
        run: provides the precision.
    """

    def __init__(self, loss: Callable[[], Tensor], optimizer: torch.optim.Optimizer, steps: int, run: RunContext):
        self._loss = loss
        self._optimizer = optimizer
        self._steps = steps
        self._run = run
        self._done = 0
        self.key = "public"

    def __iter__(self) -> Iterator[Tensor]:
        return self

    def __len__(self) -> int:
        return self._steps

    def __next__(self) -> Tensor:
        if self._done == self._steps:
            raise StopIteration
        self._done += 1
        self._optimizer.zero_grad(set_to_none=True)
        with self._run.autocast():
            loss = self._loss()
        loss.backward()
        self._optimizer.step()
        return loss.detach()

    def state_dict(self) -> dict[str, Any]:
        """See `Stepper`."""
        return {"done": self._done}

    def load_state_dict(self, state: Mapping[str, Any]) -> int:
        """See `Stepper`."""
        self._done = state["done"]
        return self._done


def train(
    stepper: Stepper,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    run: RunContext,
    name: str,
    *,
    warmup: float = 0.05,
    ema: float | None = None,
    note: Callable[[], str] = lambda: "",
) -> None:
    """Runs all steps of a stepper, with a linear warm-up and then a linear decay of the learning rate to zero.

    If the run keeps checkpoints, the state is saved once a minute and at the end, before the result is used. An
    interrupted phase resumes from its last checkpoint when the same program runs again. Steps after the checkpoint are
    repeated; the private ones among them have released nothing.

    Args:
        stepper: takes the optimiser steps.
        model: the trained model.
        optimizer: the stepper's optimiser; its learning rate is scheduled.
        run: progress bar, checkpoints, and the generator used by the losses.
        name: name of the progress bar and the checkpoint.
        warmup: share of the steps with rising learning rate.
        ema: decay of the exponential moving average of the trained weights, which replaces the weights at the end;
            None keeps the last weights.
        note: text after the progress bar, e.g. the ε spent so far; called after the first step, then every
            `NOTE_SECONDS`, and at the end.
    """
    steps = len(stepper)
    rise = max(1, round(warmup * steps))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / rise, (steps - step) / max(1, steps - rise))
    )
    trained = nn.ParameterList(p for p in model.parameters() if p.requires_grad)
    average = None if ema is None else AveragedModel(trained, multi_avg_fn=get_ema_multi_avg_fn(ema))
    parts = {"stepper": stepper, "model": model, "optimizer": optimizer, "schedule": schedule}
    state = TrainingState(parts if average is None else parts | {"average": average}, run)
    checkpoint = run.checkpoints.next(name, [steps, warmup, ema, state.key()])
    with run.progress.phase(name, steps) as advance:
        stored = checkpoint.load(partial(torch.load, map_location="cpu", weights_only=True))
        if stored is not None:
            advance(state.load(stored))
        saved, noted = time.monotonic(), -math.inf
        for _ in stepper:
            schedule.step()
            if average is not None:
                average.update_parameters(trained)
            advance(1)
            now = time.monotonic()
            if now - noted >= NOTE_SECONDS:
                advance(0, note())
                noted = now
            if now - saved >= CHECKPOINT_SECONDS:
                checkpoint.save(state.save)
                saved = time.monotonic()
        advance(0, note())
    if average is not None:
        trained.load_state_dict(average.module.state_dict())
    checkpoint.save(state.save)
