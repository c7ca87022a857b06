"""How a vault answers each kind of query: the sum over records, and the released result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import torch
from torch import Tensor

from dpbench.privacy.clipping import clamped_sum, clipped_sum
from dpbench.privacy.mechanisms.choices import ExponentialChoice, NoisyMax
from dpbench.privacy.mechanisms.laplace import LaplaceSum
from dpbench.privacy.mechanisms.mechanism import NoisySum, Query

Q = TypeVar("Q", bound=Query)


@dataclass(frozen=True)
class Recipe(Generic[Q]):
    """One kind of query.

    Attributes:
        kind: class of the planned mechanism; its docstring has the proof.
        bounded_sum: (values [b, ...], real [b], clip) -> Σ over real records of their bounded contributions.
        outcome: the part of the noisy sum that is released.
    """

    kind: type[Q]
    bounded_sum: Callable[[Tensor, Tensor, float], Tensor]
    outcome: Callable[[Tensor], Tensor]


def _everything(total: Tensor) -> Tensor:
    return total


NOISY_SUM = Recipe(NoisySum, clipped_sum, _everything)
LAPLACE_SUM = Recipe(LaplaceSum, partial(clipped_sum, order=1), _everything)
EXPONENTIAL_CHOICE = Recipe(ExponentialChoice, clamped_sum, torch.argmax)
NOISY_MAX = Recipe(NoisyMax, clamped_sum, torch.argmax)
