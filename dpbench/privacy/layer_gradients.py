"""Per-example gradients of single layers, from the layer's input and the gradient of its output.

For each layer type: the squared norms of the examples' gradients, by the cheaper of two forms, and the weighted sum of
the gradients in one contraction, without ever holding one gradient per example. The Gram ("ghost") form of a linear
layer's squared norm is ‖Σ_t g_t x_tᵀ‖² = Σ_{t,s} (x_t·x_s)(g_t·g_s) (arXiv 2009.03106, 2210.00038).

Squared norms are bounds from above: where the terms of a sum over t cancel, fp32 may see nothing of what is left, in
the Gram form above all, and a record would escape its clip. Each therefore includes `ROUNDING` times the square of the
sum of the terms' norms, which exceeds the rounding error of norms and weighted sums alike.

Shapes: x [b, t, ...] inputs, g [b, t, ...] output gradients, with b records; t runs over positions, over a record's
views, and over repeated uses of the layer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROUNDING = 1e-5
"""Bound on the relative rounding error of a sum of terms, in its square: far above fp32's, far below 1/t."""


def _rounding(norms: Tensor) -> Tensor:
    """What a squared norm may miss: norms [b, t] of the terms -> [b]."""
    return ROUNDING * norms.sum(dim=1).square()


class LayerGradients(ABC):
    """One layer type's rule. `layer` is the module, `names` those of its parameters that are trained."""

    @abstractmethod
    def rows(self, layer: Any, x: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        """Brings one use's input and output gradient, batch first, to [rows, t, ...]."""

    @abstractmethod
    def squared_norms(self, layer: Any, names: set[str], x: Tensor, g: Tensor) -> Tensor:
        """‖gradient of record i‖² over the trained parameters and `_rounding`: [b]."""

    @abstractmethod
    def weighted_sums(self, layer: Any, names: set[str], x: Tensor, g: Tensor) -> dict[str, Tensor]:
        """Σ_i gradient of record i, per trained parameter; weights are already multiplied into g."""


class LinearGradients(LayerGradients):
    """weight: Σ_t g_t x_tᵀ; bias: Σ_t g_t."""

    def rows(self, layer: nn.Linear, x: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        """x [r, ..., in] -> [r, t, in]; g [r, ..., out] -> [r, t, out]."""
        return x.reshape(len(x), -1, x.shape[-1]), g.reshape(len(g), -1, g.shape[-1])

    def squared_norms(self, layer: nn.Linear, names: set[str], x: Tensor, g: Tensor) -> Tensor:
        """See `LayerGradients`; the Gram form costs t²(in + out), instantiation t · in · out."""
        total = torch.zeros(len(x), device=x.device)
        if "weight" in names:
            t, inputs, outputs = x.shape[1], x.shape[2], g.shape[2]
            if t * (inputs + outputs) < inputs * outputs:
                total += ((x @ x.mT) * (g @ g.mT)).sum(dim=(1, 2))
            else:
                total += (g.mT @ x).square().sum(dim=(1, 2))
            total += _rounding(x.norm(dim=2) * g.norm(dim=2))
        if "bias" in names:
            total += g.sum(1).square().sum(1) + _rounding(g.norm(dim=2))
        return total

    def weighted_sums(self, layer: nn.Linear, names: set[str], x: Tensor, g: Tensor) -> dict[str, Tensor]:
        """See `LayerGradients`."""
        sums = {"weight": g.flatten(0, 1).T @ x.flatten(0, 1)} if "weight" in names else {}
        return sums | ({"bias": g.sum(dim=(0, 1))} if "bias" in names else {})


class EmbeddingGradients(LayerGradients):
    """weight[v]: the sum of g_t over positions t that looked v up."""

    def rows(self, layer: nn.Embedding, x: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        """x int [r, ...] -> [r, t]; g [r, ..., d] -> [r, t, d]."""
        return x.reshape(len(x), -1), g.reshape(len(g), -1, g.shape[-1])

    def squared_norms(self, layer: nn.Embedding, names: set[str], x: Tensor, g: Tensor) -> Tensor:
        """See `LayerGradients`; positions that looked up the same entry add up before they are squared."""
        same = (x[:, :, None] == x[:, None, :]) & self._learns(layer, x)[:, :, None]
        return ((g @ g.mT) * same).sum(dim=(1, 2)) + _rounding(g.norm(dim=2))

    def weighted_sums(self, layer: nn.Embedding, names: set[str], x: Tensor, g: Tensor) -> dict[str, Tensor]:
        """See `LayerGradients`."""
        g = g * self._learns(layer, x)[:, :, None]
        zero = torch.zeros(layer.weight.shape, device=g.device)
        return {"weight": zero.index_add_(0, x.flatten(), g.flatten(0, 1))}

    @staticmethod
    def _learns(layer: nn.Embedding, x: Tensor) -> Tensor:
        return torch.ones_like(x, dtype=torch.bool) if layer.padding_idx is None else x != layer.padding_idx


class LayerNormGradients(LayerGradients):
    """weight: Σ_t g_t ⊙ normalised x_t; bias: Σ_t g_t. Small enough to instantiate."""

    def rows(self, layer: nn.LayerNorm, x: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        """x and g [r, ..., *normalized_shape] -> [r, t, *normalized_shape]; x comes out normalised."""
        shape = layer.normalized_shape
        normalised = F.layer_norm(x, shape, eps=layer.eps)
        return normalised.reshape(len(x), -1, *shape), g.reshape(len(g), -1, *shape)

    def squared_norms(self, layer: nn.LayerNorm, names: set[str], x: Tensor, g: Tensor) -> Tensor:
        """See `LayerGradients`."""
        terms = {"weight": g * x, "bias": g}
        total = torch.zeros(len(x), device=x.device)
        for name in names:
            total += terms[name].sum(1).flatten(1).square().sum(1) + _rounding(terms[name].flatten(2).norm(dim=2))
        return total

    def weighted_sums(self, layer: nn.LayerNorm, names: set[str], x: Tensor, g: Tensor) -> dict[str, Tensor]:
        """See `LayerGradients`."""
        sums = {"weight": (g * x).sum(dim=(0, 1)), "bias": g.sum(dim=(0, 1))}
        return {name: sums[name] for name in names}


LAYERS: Mapping[type[nn.Module], LayerGradients] = {
    nn.Linear: LinearGradients(),
    nn.Embedding: EmbeddingGradients(),
    nn.LayerNorm: LayerNormGradients(),
}
"""Layer type -> its rule. Exact types: a subclass may compute something else."""
