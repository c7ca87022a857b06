"""Per-record gradients of one parameter, in the form with the cheapest norms and weighted sum.

`Dense` holds the gradients. `Factored` holds the factors of Σ_t g_t x_tᵀ and does not multiply them out per record: its
squared norm is the Gram ("ghost") form Σ_{t,s} (x_t·x_s)(g_t·g_s) (arXiv 2009.03106), its weighted sum is one matrix
product. `Lookup` holds rows of an embedding.

Sensitivity. A record's part in a weighted sum, rounding included, has norm at most (1 + u) · weight · the square root
of its squared norm as computed here, u = 2⁻²⁴; with `clip_weights` that is (1 + 3u) · clip. Let γ(k) = ku / (1 - ku),
which bounds the relative error of k roundings in any order (Higham 2002, section 3.1).

- `Dense`, `Lookup`: the numbers whose norm is computed are multiplied by the weight, which rounds each by u, and added
  to other records' numbers. `squared_norms` is at least their squared norm.
- `Factored`: let G = Σ_t g_t x_tᵀ, exactly, and L = Σ_t ‖g_t‖ ‖x_t‖. In whatever order fp32 weights and adds the t
  terms, no number is rounded more than t + 2 times. So weight · (G + E) is added, with |E| ≤ γ(t + 2) Σ_t |g_t| |x_t|ᵀ
  entry by entry, and ‖G + E‖ ≤ ‖G‖ + γ(t + 2) L. In the Gram form, x_t·x_s over n numbers is off by at most
  γ(n) ‖x_t‖ ‖x_s‖, even if parts of the n are added up first. The same holds for g_t·g_s over m numbers. So ‖G‖² is off
  by at most (γ(n) + γ(m) + γ(n) γ(m)) L². Both bounds are added.
- A product that is too small for fp32 is off by less than fp32's smallest normal number instead. The Gram form accounts
  for that. In a sum it amounts to less than 10⁻²² while no ‖g_t‖ or ‖x_t‖ exceeds `LONG`; longer ones are multiplied
  out.

Two measures keep these bounds small. If the bound of the Gram form exceeds `SLACK` · ‖G‖², the form is computed again
in fp64. And a record whose terms cancel, ‖G‖² < `CANCELS` · L², is multiplied out before it is weighted: otherwise
partial sums far above the clip would round other records' parts.

The rounding of a sum over records depends on all of them, as in any floating-point implementation. It is not included
here; it is about 10⁻⁷ of the sum.

Shapes: b records; t runs over a record's positions, views and repeated uses of the layer. All fp32.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from dpbench.privacy.clipping import FP32, squared_norms
from dpbench.privacy.gradients.gram_form import SLACK, gram_form, has_to_be_multiplied_out

CHUNK: Mapping[str, int] = {"cpu": 2**18, "gpu": 2**25}
"""Numbers that are converted or multiplied out at a time, unless one record has more: they fit a CPU's cache, or are a
small part of a GPU's memory."""

DENSE_COST: Mapping[str, int] = {"cpu": 9, "gpu": 32}
"""A dense gradient of n numbers costs as much beyond a plain one as this many multiplications per number: writing it,
its norm, and reading it again for the sum. Measured on a CPU. A GPU multiplies faster, and its memory is scarcer."""


def gram_is_cheaper(t: int, inputs: int, outputs: int, device: torch.device) -> bool:
    """Whether `Outer` beats `Dense` for t terms of inputs × outputs numbers."""
    return t * t * (inputs + outputs) <= DENSE_COST[_kind(device)] * inputs * outputs


class Term(ABC):
    """Gradients of b records with respect to one parameter."""

    @abstractmethod
    def squared_norms(self) -> Tensor:
        """Upper bounds on the squared norms of the records' parts at weight 1, tight up to rounding: fp64 [b]."""

    @abstractmethod
    def weighted_sum(self, weights: Tensor) -> Tensor:
        """Σ_i weights_i · gradient_i in the parameter's shape; records of weight 0 must be finite (see `select`)."""

    @abstractmethod
    def select(self, kept: Tensor) -> Term:
        """The same with zero, even in place of NaN, for the records where `kept` (bool [b]) is False."""

    @abstractmethod
    def dense(self) -> Dense:
        """The same, multiplied out."""

    @abstractmethod
    def stored_bytes(self) -> int:
        """Bytes held beyond the layer's input and output gradient."""


@dataclass
class Dense(Term):
    """The gradients themselves: values [b, *parameter shape]; those of a record may be in any order in memory."""

    values: Tensor

    def squared_norms(self) -> Tensor:
        """See `Term`."""
        pieces, _ = self._as_stored
        return torch.stack([squared_norms(piece) for piece in pieces]).sum(0)

    def weighted_sum(self, weights: Tensor) -> Tensor:
        """See `Term`."""
        pieces, order = self._as_stored
        sums = torch.stack([weights @ piece for piece in pieces])  # one product of all is slower on a CPU
        total = sums.reshape([self.values.shape[dim] for dim in order])
        return total.permute([order.index(dim) for dim in range(1, self.values.ndim)])

    @cached_property
    def _as_stored(self) -> tuple[Tensor, list[int]]:
        """([pieces, b, n], order): the dimensions of a record's values as they lie in memory.

        Dimensions that lie outside the dimension of the records split the values into pieces.
        """
        stride, dims = self.values.stride, range(1, self.values.ndim)
        order = sorted(dims, key=stride, reverse=True)
        outside = [dim for dim in order if stride(dim) > stride(0)]
        inside = order[len(outside) :]
        pieces, n = (math.prod(self.values.shape[dim] for dim in dims) for dims in (outside, inside))
        return self.values.permute(*outside, 0, *inside).reshape(pieces, len(self.values), n), order

    def select(self, kept: Tensor) -> Dense:
        """See `Term`."""
        return Dense(only(self.values, kept))

    def dense(self) -> Dense:
        """See `Term`."""
        return self

    def stored_bytes(self) -> int:
        """See `Term`."""
        return self.values.numel() * self.values.element_size()


class Factored(Term):
    """Σ_t g_t x_tᵀ as its factors: b records of t terms, n numbers in x_t and m in g_t."""

    @property
    @abstractmethod
    def sizes(self) -> tuple[int, int, int]:
        """(t, n, m)."""

    @abstractmethod
    def grams(self, precision: torch.dtype) -> tuple[Tensor, Tensor]:
        """(x_t·x_s, g_t·g_s), each [b, t, t], computed in that precision."""

    @abstractmethod
    def contracted(self, weights: Tensor) -> Tensor:
        """`weighted_sum` without multiplying out any record by itself."""

    @abstractmethod
    def of(self, records: Tensor) -> Factored:
        """The same for the records at these indices."""

    def squared_norms(self) -> Tensor:
        """See `Term`."""
        return self._measured[0]

    def weighted_sum(self, weights: Tensor) -> Tensor:
        """See `Term`."""
        _, apart = self._measured
        if not len(apart):
            return self.contracted(weights)
        total = self.contracted(weights.index_fill(0, apart, 0))
        _, n, m = self.sizes
        for part in _parts(apart[weights[apart] > 0], n * m):
            total += self.of(part).dense().weighted_sum(weights[part])
        return total

    @cached_property
    def _measured(self) -> tuple[Tensor, Tensor]:
        """(`squared_norms`, the records that have to be multiplied out before they are weighted: indices)."""
        t, n, m = self.sizes
        measured = gram_form(*self.grams(torch.float32), n, m)
        squares, margin, *_ = measured
        sure = squares.isfinite() & (margin <= SLACK * squares) & ~has_to_be_multiplied_out(measured)
        apart = [sure.new_empty(0, dtype=torch.int64)]
        for part in _parts((~sure).nonzero()[:, 0], t * (n + m)):
            exact = measured[:, part] = gram_form(*self.of(part).grams(torch.float64), n, m)
            apart.append(part[has_to_be_multiplied_out(exact)])
        squares, margin, lengths, _ = measured
        rounding = 1.1 * (t + 2) * FP32.eps / 2 * lengths
        return ((squares.clamp_min(0) + margin).sqrt() + rounding).square(), torch.cat(apart)


@dataclass
class Outer(Factored):
    """The factors in matrices, in the parameter's shape: x [b, t, n], g [b, t, m]; see `in_shape`.

    `copied_bytes` is the size of factors that are neither the layer's input nor its output gradient.
    """

    x: Tensor
    g: Tensor
    shape: torch.Size
    copied_bytes: int = 0

    @property
    def sizes(self) -> tuple[int, int, int]:
        """See `Factored`."""
        return self.x.shape[1], self.x.shape[2], self.g.shape[2]

    def grams(self, precision: torch.dtype) -> tuple[Tensor, Tensor]:
        """See `Factored`."""
        x, g = self.x.to(precision), self.g.to(precision)
        return torch.bmm(x, x.mT), torch.bmm(g, g.mT)

    def contracted(self, weights: Tensor) -> Tensor:
        """See `Factored`."""
        x, g = self.x, self.g
        if x.shape[2] < g.shape[2]:  # weights go to the factor that needs fewer multiplications
            x = x * weights[:, None, None]
        else:
            g = g * weights[:, None, None]
        return in_shape(g.flatten(0, 1).T @ x.flatten(0, 1), self.shape)

    def of(self, records: Tensor) -> Outer:
        """See `Factored`."""
        return Outer(self.x[records], self.g[records], self.shape)

    def select(self, kept: Tensor) -> Outer:
        """See `Term`."""
        return Outer(only(self.x, kept), only(self.g, kept), self.shape, self.copied_bytes)

    def dense(self) -> Dense:
        """See `Term`."""
        return Dense(in_shape(torch.bmm(self.g.mT, self.x), self.shape))

    def stored_bytes(self) -> int:
        """See `Term`."""
        return self.copied_bytes


def in_shape(matrices: Tensor, shape: torch.Size) -> Tensor:
    """[..., outputs, inputs] in the shape of a layer's weight, (outputs, channels, *kernel), as a view.

    Inputs are ordered by place in the kernel, then by channel. A linear layer's are its channels.
    """
    _, channels, *kernel = shape
    return matrices.unflatten(-1, (*kernel, channels)).movedim(-1, -1 - len(kernel))


@dataclass
class Lookup(Term):
    """Row v is g_t of the position t with entry v: entries int [b, t], g [b, t, d], number of rows V.

    No two positions of a record with g_t ≠ 0 have the same entry; `of` adds such positions up.
    """

    entries: Tensor
    g: Tensor
    rows: int

    @classmethod
    def of(cls, entries: Tensor, g: Tensor, rows: int) -> Lookup:
        """Row v is Σ g_t over the positions t with entry v."""
        if entries.shape[1] > 1:
            first = (entries[:, :, None] == entries[:, None, :]).byte().argmax(2)  # the row's first position
            g = torch.zeros_like(g).scatter_add_(1, first[:, :, None].expand_as(g), g)
        return cls(entries, g, rows)

    def squared_norms(self) -> Tensor:
        """See `Term`."""
        return squared_norms(self.g)

    def weighted_sum(self, weights: Tensor) -> Tensor:
        """See `Term`."""
        zero = torch.zeros(self.rows, self.g.shape[2], device=self.g.device)
        return zero.index_add_(0, self.entries.flatten(), (self.g * weights[:, None, None]).flatten(0, 1))

    def select(self, kept: Tensor) -> Lookup:
        """See `Term`."""
        return Lookup(self.entries, only(self.g, kept), self.rows)

    def dense(self) -> Dense:
        """See `Term`."""
        zero = torch.zeros(len(self.g), self.rows, self.g.shape[2], device=self.g.device)
        return Dense(zero.scatter_add_(1, self.entries[:, :, None].expand_as(self.g), self.g))

    def stored_bytes(self) -> int:
        """See `Term`."""
        return self.g.numel() * self.g.element_size() if self.entries.shape[1] > 1 else 0


def add(a: Term, b: Term) -> Term:
    """The gradients of a parameter that is used twice: the sum over its uses, so that the norm is that of the sum."""
    if isinstance(a, Outer) and isinstance(b, Outer):
        x, g = torch.cat([a.x, b.x], dim=1), torch.cat([a.g, b.g], dim=1)
        return Outer(x, g, a.shape, a.copied_bytes + b.copied_bytes)
    if isinstance(a, Lookup) and isinstance(b, Lookup):
        return Lookup.of(torch.cat([a.entries, b.entries], dim=1), torch.cat([a.g, b.g], dim=1), a.rows)
    return Dense(a.dense().values + b.dense().values)


def only(values: Tensor, kept: Tensor) -> Tensor:
    """[b, ...] with zeros, even in place of NaN, where `kept` (bool [b]) is False."""
    return torch.where(kept.reshape(-1, *[1] * (values.ndim - 1)), values, 0)


def chunk(size: int, device: torch.device) -> int:
    """The number of records that hold about `CHUNK` numbers, at `size` numbers per record."""
    return max(1, CHUNK[_kind(device)] // size)


def _parts(indices: Tensor, size: int) -> Sequence[Tensor]:
    """The indices in parts of `chunk` records."""
    return indices.split(chunk(size, indices.device)) if len(indices) else ()


def _kind(device: torch.device) -> str:
    return "cpu" if device.type == "cpu" else "gpu"
