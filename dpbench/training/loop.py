"""One loop for public and private training: any iterator of steps, with schedule, moving average and progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from dpbench.core.progress import Progress


class Stepper(Protocol):
    """Something that takes one optimiser step per item: `PublicSteps`, or the vault's `dp_sgd`."""

    def __iter__(self) -> Iterator[object]: ...

    def __len__(self) -> int: ...


class PublicSteps:
    """Plain optimiser steps on public data.

    Args:
        loss: called once per step; returns a scalar.
        optimizer: over the parameters to train.
        steps: number of steps.
    """

    def __init__(self, loss: Callable[[], Tensor], optimizer: torch.optim.Optimizer, steps: int):
        self._loss = loss
        self._optimizer = optimizer
        self._steps = steps
        self._done = 0

    def __iter__(self) -> Iterator[float]:
        return self

    def __len__(self) -> int:
        return self._steps

    def __next__(self) -> float:
        if self._done == self._steps:
            raise StopIteration
        self._done += 1
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._loss()
        loss.backward()
        self._optimizer.step()
        return loss.item()


def train(
    stepper: Stepper,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    name: str,
    warmup: float = 0.05,
    ema: tuple[nn.Module, float] | None = None,
    note: Callable[[], str] = lambda: "",
) -> None:
    """Runs a stepper to its end: linear warm-up, then a linear decay of the learning rate to zero.

    Args:
        stepper: takes the steps.
        optimizer: the one that the stepper steps; its learning rate is scheduled.
        progress: where the bar is drawn.
        name: of the bar.
        warmup: share of the steps in which the learning rate rises.
        ema: (model, decay): at the end the model's weights are replaced by their exponential moving average.
        note: shown behind the bar, e.g. the ε spent so far.
    """
    steps = len(stepper)
    rise = max(1, round(warmup * steps))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / rise, (steps - step) / max(1, steps - rise))
    )
    average = AveragedModel(ema[0], multi_avg_fn=get_ema_multi_avg_fn(ema[1])) if ema else None
    with progress.phase(name, steps) as advance:
        for _ in stepper:
            schedule.step()
            if average is not None and ema is not None:
                average.update_parameters(ema[0])
            advance(1, note())
    if average is not None and ema is not None:
        ema[0].load_state_dict(average.module.state_dict())
