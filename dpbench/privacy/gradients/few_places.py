"""The gradient of a convolution with few places per record, without the patches that they see."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dpbench.privacy.gradients.patches import gram_of_patches, products
from dpbench.privacy.gradients.terms import Dense, Factored, only

CHEAP = 2
"""Multiplications of the Gram form, per number of a dense gradient, up to which it is the faster one; measured on a
CPU, including the sums over the kernel."""


def places_are_cheaper(layer: Any, x: Tensor, g: Tensor, records: int) -> bool:
    """Whether `Places` is faster than `Dense` and `Outer`; only on a CPU."""
    pixels, places = (len(rows) // records * rows[0, 0].numel() for rows in (x, g))
    cost = pixels * pixels * x.shape[1] + places * places * g.shape[1]
    return g.device.type == "cpu" and cost <= CHEAP * layer.weight.numel()


@dataclass
class Places(Factored):
    """Σ_t g_t x_tᵀ with x_t the patch of place t, as the layer's input x [rows, c, *size] and g [rows, c', *places].

    The inner products of patches come from those of pixels, the weighted sum from the convolution's own backward pass.
    """

    layer: Any
    x: Tensor
    padding: list[int]
    g: Tensor
    records: int

    @property
    def sizes(self) -> tuple[int, int, int]:
        """See `Factored`."""
        outputs, *patch = self.layer.weight.shape
        return len(self.g) // self.records * self.g[0, 0].numel(), math.prod(patch), outputs

    def grams(self, precision: torch.dtype) -> tuple[Tensor, Tensor]:
        """See `Factored`."""
        g = self.g.to(precision).flatten(2).mT.reshape(self.records, -1, self.g.shape[1])
        return gram_of_patches(self.layer, self.x.to(precision), self.padding, self.records), torch.bmm(g, g.mT)

    def contracted(self, weights: Tensor) -> Tensor:
        """See `Factored`."""
        g = (self._by_record(self.g) * weights.reshape(-1, *[1] * self.g.ndim)).flatten(0, 1)
        weight = self.layer.weight.detach()  # else the sum would keep its records alive for a second derivative
        return weight_gradient(self.layer, self.x, self.padding, g, weight, self.layer.groups)

    def of(self, records: Tensor) -> Places:
        """See `Factored`."""
        x, g = (self._by_record(t)[records].flatten(0, 1) for t in (self.x, self.g))
        return Places(self.layer, x, self.padding, g, len(records))

    def select(self, kept: Tensor) -> Places:
        """See `Term`."""
        x, g = (only(self._by_record(t), kept).flatten(0, 1) for t in (self.x, self.g))
        return Places(self.layer, x, self.padding, g, self.records)

    def dense(self) -> Dense:
        """See `Term`."""
        return Dense(products(self.layer, self.x, self.padding, self.g, self.records))

    def stored_bytes(self) -> int:
        """See `Term`."""
        return 0

    def _by_record(self, rows: Tensor) -> Tensor:
        return rows.unflatten(0, (self.records, -1))


def weight_gradient(layer: Any, x: Tensor, padding: list[int], g: Tensor, weight: Tensor, groups: int) -> Tensor:
    """The gradient of a convolution's weight; only the shape of `weight` matters."""
    zeros = [0] * len(padding)
    _, gradient, _ = torch.ops.aten.convolution_backward(
        g, x, weight, [0], list(layer.stride), padding, list(layer.dilation), False, zeros, groups, [False, True, False]
    )
    found: Tensor = gradient
    return found
