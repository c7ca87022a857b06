"""A network whose weights stand still while a gradient passes through it to its inputs."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn


def frozen(network: nn.Module, *inputs: Tensor) -> Tensor:
    """The network's output; its gradient reaches the inputs, and not the weights."""
    weights = {name: p.detach() for name, p in network.named_parameters()}
    return cast(Tensor, torch.func.functional_call(network, weights, inputs))
