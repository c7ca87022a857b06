"""An exponential moving average of a model's trained weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MovingAverage:
    """Follows the trained parameters of a model; starts as their value at the first update.

    Args:
        model: its parameters with `requires_grad` are averaged.
        decay: share of the old average that an update keeps.
    """

    def __init__(self, model: nn.Module, decay: float):
        self._parameters: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
        self._decay = decay
        self._values: list[Tensor] = []

    @torch.no_grad()
    def update(self) -> None:
        """Takes the current weights in."""
        if self._values:
            torch._foreach_lerp_(self._values, self._parameters, 1 - self._decay)
        else:
            self._values = [p.detach().clone() for p in self._parameters]

    @torch.no_grad()
    def apply(self) -> None:
        """Replaces the model's weights by their average."""
        for parameter, value in zip(self._parameters, self._values, strict=True):
            parameter.copy_(value)

    def state_dict(self) -> list[Tensor]:
        """The averaged tensors, in the order of the model's parameters; empty before the first update."""
        return self._values

    def load_state_dict(self, values: list[Tensor]) -> None:
        """Restores `state_dict()`, on the parameters' devices."""
        self._values = [v.to(p.device) for v, p in zip(values, self._parameters, strict=bool(values))]
