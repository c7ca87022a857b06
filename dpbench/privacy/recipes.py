"""How a vault answers each kind of query: what it adds up over records, what noise it adds, what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import torch
from torch import Tensor

from dpbench.privacy.choices import ExponentialChoice, NoisyMax
from dpbench.privacy.clipping import clamped_sum, clipped_sum
from dpbench.privacy.laplace import LaplaceSum
from dpbench.privacy.mechanisms import NoisySum, Query
from dpbench.privacy.parts import Noise

Q = TypeVar("Q", bound=Query)


@dataclass(frozen=True)
class Recipe(Generic[Q]):
    """One kind of query.

    Attributes:
        kind: of the planned mechanism, whose docstring has the proof.
        bounded_sum: (values [b, ...], real [b], clip) -> Σ of what each real record may contribute at most.
        noise: what is added to the sum.
        outcome: the part of the noisy sum that is released.
    """

    kind: type[Q]
    bounded_sum: Callable[[Tensor, Tensor, float], Tensor]
    noise: Noise
    outcome: Callable[[Tensor], Tensor]


def _everything(total: Tensor) -> Tensor:
    return total


NOISY_SUM = Recipe(NoisySum, clipped_sum, "gaussian", _everything)
LAPLACE_SUM = Recipe(LaplaceSum, partial(clipped_sum, order=1), "laplace", _everything)
EXPONENTIAL_CHOICE = Recipe(ExponentialChoice, clamped_sum, "gumbel", torch.argmax)
NOISY_MAX = Recipe(NoisyMax, clamped_sum, "exponential", torch.argmax)
