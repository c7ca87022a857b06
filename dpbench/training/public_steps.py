"""Plain optimiser steps on public data, with the interface of private ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from dpbench.core.context import RunContext


class PublicSteps:
    """Plain optimiser steps on public data.

    Args:
        loss: called once per step under the run's autocast; returns a scalar.
        optimizer: optimiser of the trained parameters.
        steps: number of steps.
        run: provides the precision.

    Attributes:
        last_loss: loss of the last step; None before the first one.
    """

    def __init__(self, loss: Callable[[], Tensor], optimizer: torch.optim.Optimizer, steps: int, run: RunContext):
        self._loss = loss
        self._optimizer = optimizer
        self._steps = steps
        self._run = run
        self._done = 0
        self.last_loss: Tensor | None = None
        self.key = "public"

    def __iter__(self) -> Iterator[Tensor]:
        return self

    def __len__(self) -> int:
        return self._steps

    def __next__(self) -> Tensor:
        if self._done == self._steps:
            raise StopIteration
        self._done += 1
        self.last_loss = loss = self._backward()
        self._optimizer.step()
        return loss

    def _backward(self) -> Tensor:
        """Computes the gradient of a batch into `p.grad`; returns the loss."""
        self._optimizer.zero_grad(set_to_none=True)
        with self._run.autocast():
            loss = self._loss()
        loss.backward()
        return loss.detach()

    def state_dict(self) -> dict[str, Any]:
        """See `Stepper`."""
        return {"done": self._done}

    def load_state_dict(self, state: Mapping[str, Any]) -> int:
        """See `Stepper`."""
        self._done = state["done"]
        return self._done
