"""Per-record gradients of one parameter, in the form in which their norms and their weighted sum are cheapest.

`Dense` holds them. `Outer` holds the factors of Σ_t g_t x_tᵀ and never multiplies them out per record: its squared norm
is the Gram ("ghost") form Σ_{t,s} (x_t·x_s)(g_t·g_s) (arXiv 2009.03106), its weighted sum one matrix product.
`Lookup` does the same for the rows of an embedding.

A squared norm must not fall short of what the weighted sum adds, or a record would escape its clip. `Dense` sums what
it measured. The others compute norm and sum on different ways, and where the terms over t cancel, fp32 may see nothing
of what is left: their squared norms include `ROUNDING` · (Σ_t ‖g_t‖ ‖x_t‖)², which exceeds what either way rounds.

Shapes: b records; t runs over a record's positions, views and repeated uses of the layer. All fp32.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

ROUNDING = 1e-6
"""Share of (Σ_t ‖g_t‖ ‖x_t‖)² that a Gram form may miss: sixteen units of fp32 rounding."""

DENSE_COST = 4
"""A dense gradient of n numbers costs as much beyond a plain one as this many multiplications per number (measured on
a CPU: writing it, its norm, and reading it again for the sum)."""


def gram_is_cheaper(t: int, inputs: int, outputs: int) -> bool:
    """Whether `Outer` beats `Dense` for t terms of inputs × outputs numbers."""
    return t * t * (inputs + outputs) <= DENSE_COST * inputs * outputs


class Term(ABC):
    """Gradients of b records with respect to one parameter."""

    @abstractmethod
    def squared_norms(self) -> Tensor:
        """An upper bound on the records' squared gradient norms, tight but for rounding: [b]."""

    @abstractmethod
    def weighted_sum(self, weights: Tensor) -> Tensor:
        """Σ_i weights_i · gradient_i in the parameter's shape; records of weight 0 must be finite (see `select`)."""

    @abstractmethod
    def select(self, kept: Tensor) -> Term:
        """The same with the records where `kept` (bool [b]) is False replaced by zero, whatever they hold."""

    @abstractmethod
    def dense(self) -> Dense:
        """The same, multiplied out."""

    @abstractmethod
    def stored_bytes(self) -> int:
        """Memory that it holds beyond the layer's input and output gradient."""


@dataclass
class Dense(Term):
    """The gradients themselves: values [b, *parameter shape]."""

    values: Tensor

    def squared_norms(self) -> Tensor:
        """See `Term`."""
        return torch.linalg.vector_norm(self.values.flatten(1), dim=1).square()

    def weighted_sum(self, weights: Tensor) -> Tensor:
        """See `Term`."""
        return (weights @ self.values.flatten(1)).reshape(self.values.shape[1:])

    def select(self, kept: Tensor) -> Dense:
        """See `Term`."""
        return Dense(_select(self.values, kept))

    def dense(self) -> Dense:
        """See `Term`."""
        return self

    def stored_bytes(self) -> int:
        """See `Term`."""
        return self.values.numel() * self.values.element_size()


@dataclass
class Outer(Term):
    """Σ_t g_t x_tᵀ, reshaped to the parameter's shape: x [b, t, inputs], g [b, t, outputs]."""

    x: Tensor
    g: Tensor
    shape: torch.Size

    def squared_norms(self) -> Tensor:
        """See `Term`."""
        xx, gg = torch.bmm(self.x, self.x.mT), torch.bmm(self.g, self.g.mT)  # [b, t, t]
        lengths = (xx.diagonal(dim1=1, dim2=2) * gg.diagonal(dim1=1, dim2=2)).sqrt()  # ‖x_t‖ ‖g_t‖: [b, t]
        return torch.linalg.vecdot(xx.flatten(1), gg.flatten(1)) + ROUNDING * lengths.sum(1).square()

    def weighted_sum(self, weights: Tensor) -> Tensor:
        """See `Term`."""
        x, g = self.x, self.g
        if x.shape[2] < g.shape[2]:  # the weights go where they are fewer multiplications
            x = x * weights[:, None, None]
        else:
            g = g * weights[:, None, None]
        return (g.flatten(0, 1).T @ x.flatten(0, 1)).reshape(self.shape)

    def select(self, kept: Tensor) -> Outer:
        """See `Term`."""
        return Outer(_select(self.x, kept), _select(self.g, kept), self.shape)

    def dense(self) -> Dense:
        """See `Term`."""
        return Dense(torch.bmm(self.g.mT, self.x).reshape(-1, *self.shape))

    def stored_bytes(self) -> int:
        """See `Term`."""
        return 0


@dataclass
class Lookup(Term):
    """Row v: Σ of g_t over the positions t that looked v up: entries int [b, t], g [b, t, d], of V rows."""

    entries: Tensor
    g: Tensor
    rows: int

    def squared_norms(self) -> Tensor:
        """See `Term`; positions that looked up the same row add up before they are squared."""
        same = self.entries[:, :, None] == self.entries[:, None, :]
        lengths = torch.linalg.vector_norm(self.g, dim=2)
        return ((self.g @ self.g.mT) * same).sum((1, 2)) + ROUNDING * lengths.sum(1).square()

    def weighted_sum(self, weights: Tensor) -> Tensor:
        """See `Term`."""
        zero = torch.zeros(self.rows, self.g.shape[2], device=self.g.device)
        return zero.index_add_(0, self.entries.flatten(), (self.g * weights[:, None, None]).flatten(0, 1))

    def select(self, kept: Tensor) -> Lookup:
        """See `Term`."""
        return Lookup(self.entries, _select(self.g, kept), self.rows)

    def dense(self) -> Dense:
        """See `Term`."""
        zero = torch.zeros(len(self.g), self.rows, self.g.shape[2], device=self.g.device)
        return Dense(zero.scatter_add_(1, self.entries[:, :, None].expand_as(self.g), self.g))

    def stored_bytes(self) -> int:
        """See `Term`."""
        return 0


def add(a: Term, b: Term) -> Term:
    """The gradients of a parameter that is used twice: those of its uses add up before they are measured."""
    if isinstance(a, Outer) and isinstance(b, Outer):
        return Outer(torch.cat([a.x, b.x], dim=1), torch.cat([a.g, b.g], dim=1), a.shape)
    if isinstance(a, Lookup) and isinstance(b, Lookup):
        return Lookup(torch.cat([a.entries, b.entries], dim=1), torch.cat([a.g, b.g], dim=1), a.rows)
    return Dense(a.dense().values + b.dense().values)


def _select(values: Tensor, kept: Tensor) -> Tensor:
    return torch.where(kept.reshape(-1, *[1] * (values.ndim - 1)), values, 0)
