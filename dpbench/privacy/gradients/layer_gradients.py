"""Per-record gradients of single layers, from the layer's input and the gradient of its output.

One rule per layer type gives a `Term` for each trained parameter. The rows of a layer's input belong to records in
order: row r of n belongs to record r // (n / records). A term covers all rows of a record, including its views, so K
views need memory for one gradient per record, not for K.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dpbench.core.errors import PrivacyError
from dpbench.privacy.gradients.few_places import Places, places_are_cheaper, weight_gradient
from dpbench.privacy.gradients.patches import patches, products
from dpbench.privacy.gradients.terms import Dense, Lookup, Outer, Term, gram_is_cheaper


class LayerGradients(ABC):
    """The rule of one layer type."""

    @abstractmethod
    def terms(self, layer: Any, names: set[str], x: Tensor, g: Tensor, records: int) -> dict[str, Term]:
        """The gradients of all records, by trained parameter.

        Args:
            layer: the module.
            names: of its trained parameters.
            x: the layer's input [rows, ...], fp32 (indices for an embedding).
            g: gradient of its output [rows, ...], fp32.
            records: divides `rows`.
        """


class LinearGradients(LayerGradients):
    """weight: Σ_t g_t x_tᵀ; bias: Σ_t g_t."""

    def terms(self, layer: nn.Linear, names: set[str], x: Tensor, g: Tensor, records: int) -> dict[str, Term]:
        """See `LayerGradients`: x [rows, ..., in], g [rows, ..., out]."""
        x, g = x.reshape(records, -1, x.shape[-1]), g.reshape(records, -1, g.shape[-1])
        terms: dict[str, Term] = {}
        if "weight" in names:
            terms["weight"] = factors_or_product(x, g, layer.weight.shape)
        if "bias" in names:
            terms["bias"] = Dense(g.sum(1))
        return terms


def factors_or_product(x: Tensor, g: Tensor, shape: torch.Size) -> Term:
    """Σ_t g_t x_tᵀ in the cheaper form: x [b, t, inputs], g [b, t, outputs]."""
    outer = Outer(x, g, shape)
    return outer if gram_is_cheaper(x.shape[1], x.shape[2], g.shape[2], g.device) else outer.dense()


class ConvGradients(LayerGradients):
    """weight: Σ over places of g · patchᵀ; bias: Σ over places of g. Any stride, dilation, groups and padding mode.

    A large record gets a convolution of its own. For other records, patches go into matrix products, record by record.
    With many places per channel, or with groups, one convolution gives every record its own channels instead (arXiv
    1912.06015). With few places, `Places` multiplies nothing out.
    """

    def terms(self, layer: Any, names: set[str], x: Tensor, g: Tensor, records: int) -> dict[str, Term]:
        """See `LayerGradients`: x [rows, c, *size] and g [rows, c', *size'], of one to three dimensions."""
        terms: dict[str, Term] = {}
        if "weight" in names:
            terms["weight"] = self._weight(layer, x, g, records)
        if "bias" in names:
            terms["bias"] = Dense(g.reshape(records, -1, g.shape[1], g[0, 0].numel()).sum((1, 3)))
        return terms

    def _weight(self, layer: Any, x: Tensor, g: Tensor, records: int) -> Term:
        return self._contracted(layer, *self._padded(layer, x), g, records)

    def _contracted(self, layer: Any, x: Tensor, padding: list[int], g: Tensor, records: int) -> Term:
        """Σ over places of g · patchᵀ of x."""
        places, (outputs, *kernel) = len(g) // records * g[0, 0].numel(), layer.weight.shape
        if layer.groups == 1 and _sees_one_place(layer, padding):
            x, g = (t.flatten(2).mT.reshape(records, places, -1) for t in (x, g))
            return factors_or_product(x, g, layer.weight.shape)
        if records_are_large(places, layer.weight.numel(), g.device):
            return self._by_record(layer, x, padding, g, records)
        if layer.groups > 1 or not patches_are_cheaper(places, outputs, g.device):
            return self._by_convolution(layer, x, padding, g, records)
        if places_are_cheaper(layer, x, g, records):
            return Places(layer, x, padding, g, records)
        if gram_is_cheaper(places, math.prod(kernel), outputs, g.device):
            return self._outer(layer, x, padding, g, records)
        return Dense(products(layer, x, padding, g, records))

    @staticmethod
    def _padded(layer: nn.Conv2d, x: Tensor) -> tuple[Tensor, list[int]]:
        """(input, remaining zero padding): other paddings are applied here."""
        if layer.padding_mode == "zeros" and not isinstance(layer.padding, str):
            return x, list(layer.padding)
        mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
        return F.pad(x, layer._reversed_padding_repeated_twice, mode=mode), [0] * (x.ndim - 2)

    @staticmethod
    def _outer(layer: Any, x: Tensor, padding: list[int], g: Tensor, records: int) -> Term:
        x, g = patches(layer, x, padding), g.flatten(2).mT
        x, g = x.reshape(records, -1, x.shape[-1]), g.reshape(records, -1, g.shape[-1])
        return Outer(x, g, layer.weight.shape, copied_bytes=x.numel() * x.element_size())

    @staticmethod
    def _by_record(layer: Any, x: Tensor, padding: list[int], g: Tensor, records: int) -> Term:
        values, weight = g.new_empty(records, *layer.weight.shape), layer.weight.detach()
        each = zip(values, x.tensor_split(records), g.tensor_split(records), strict=True)
        for value, own_x, own_g in each:
            value.copy_(weight_gradient(layer, own_x, padding, own_g, weight, layer.groups))
        return Dense(values)

    @staticmethod
    def _by_convolution(layer: Any, x: Tensor, padding: list[int], g: Tensor, records: int) -> Term:
        shape = layer.weight.shape
        weight = g.new_empty(1).expand(records * shape[0], *shape[1:])
        x, g = _side_by_side(x, records), _side_by_side(g, records)
        gradient = weight_gradient(layer, x, padding, g, weight, records * layer.groups)
        return Dense(gradient.reshape(records, *shape))


def records_are_large(places: int, numbers: int, device: torch.device) -> bool:
    """Whether a convolution per record beats every way to handle several records at once; measured on a CPU.

    Args:
        places: places of a record, in all views.
        numbers: size of the weight.
        device: on a GPU many small kernels would wait for each other.
    """
    return device.type == "cpu" and (places >= 1024 or places * numbers >= 2**24)


def patches_are_cheaper(places: int, outputs: int, device: torch.device) -> bool:
    """Whether patches and matrix products beat a convolution with a group per record.

    On a CPU the convolution's result has to be reordered, which costs more than patches of few places. On a GPU, where
    this was not measured, patches avoid convolutions of many groups.
    """
    return device.type != "cpu" or places < 2 * outputs


def _sees_one_place(layer: Any, padding: list[int]) -> bool:
    """Whether a convolution is a linear layer on every place by itself."""
    return {*layer.kernel_size, *layer.stride} == {1} and not any(padding)


def _side_by_side(rows: Tensor, records: int) -> Tensor:
    """[records · k, c, ...] -> [k, records · c, ...]: the records' channels are concatenated."""
    by_record = rows.reshape(records, -1, *rows.shape[1:]).transpose(0, 1)
    return by_record.reshape(by_record.shape[0], -1, *rows.shape[2:])


class ConvTransposeGradients(ConvGradients):
    """weight: as for the convolution that maps the output's gradient to the input's; input and gradient swap roles."""

    def _weight(self, layer: Any, x: Tensor, g: Tensor, records: int) -> Term:
        sizes = zip(g.shape[2:], layer.kernel_size, layer.stride, layer.dilation, layer.padding, strict=True)
        places = [(n + 2 * pad - dilation * (k - 1) - 1) // stride + 1 for n, k, stride, dilation, pad in sizes]
        beyond = [(0, m - n) for m, n in zip(places, x.shape[2:], strict=True)]  # by the output padding
        return self._contracted(layer, g, list(layer.padding), F.pad(x, sum(reversed(beyond), ())), records)


class EmbeddingGradients(LayerGradients):
    """weight[v]: the sum of g_t over the positions t with entry v."""

    def terms(self, layer: nn.Embedding, names: set[str], x: Tensor, g: Tensor, records: int) -> dict[str, Term]:
        """See `LayerGradients`: x int [rows, ...], g [rows, ..., d]."""
        entries, g = x.reshape(records, -1), g.reshape(records, -1, g.shape[-1])
        if layer.padding_idx is not None:
            g = torch.where((entries == layer.padding_idx)[:, :, None], 0, g)
        return {"weight": Lookup.of(entries, g, layer.num_embeddings)}


class EmbeddingBagGradients(LayerGradients):
    """weight[v]: the sum of g over the positions with entry v, divided by their number in mode "mean"."""

    def terms(self, layer: nn.EmbeddingBag, names: set[str], x: Tensor, g: Tensor, records: int) -> dict[str, Term]:
        """See `LayerGradients`: x int [rows, n], g [rows, d].

        Raises:
            PrivacyError: bags of varying size, or their maximum.
        """
        if x.ndim != 2 or layer.mode == "max":
            raise PrivacyError("an EmbeddingBag layer needs bags as int [b, n], and mode 'sum' or 'mean'")
        counted = torch.ones_like(x, dtype=g.dtype) if layer.padding_idx is None else (x != layer.padding_idx).to(g)
        if layer.mode == "mean":
            counted = counted / counted.sum(1, keepdim=True).clamp_min(1)
        g = counted[:, :, None] * g[:, None]
        entries = x.reshape(records, -1)
        return {"weight": Lookup.of(entries, g.reshape(records, -1, g.shape[-1]), layer.num_embeddings)}


class LayerNormGradients(LayerGradients):
    """weight: Σ_t g_t ⊙ normalised x_t; bias: Σ_t g_t; t runs over all but the normalised dimensions."""

    def terms(self, layer: nn.LayerNorm, names: set[str], x: Tensor, g: Tensor, records: int) -> dict[str, Term]:
        """See `LayerGradients`: x and g [rows, ..., *normalized_shape]."""
        shape = layer.normalized_shape
        terms: dict[str, Term] = {}
        if "weight" in names:
            terms["weight"] = Dense((g * self.normalised(layer, x)).reshape(records, -1, *shape).sum(1))
        if "bias" in names:
            terms["bias"] = Dense(g.reshape(records, -1, *shape).sum(1))
        return terms

    @staticmethod
    def normalised(layer: Any, x: Tensor) -> Tensor:
        """The layer's output without its affine map."""
        return F.layer_norm(x, layer.normalized_shape, eps=layer.eps)


class RMSNormGradients(LayerNormGradients):
    """weight: Σ_t g_t ⊙ x_t / root mean square of x_t."""

    @staticmethod
    def normalised(layer: Any, x: Tensor) -> Tensor:
        """The layer's output without its weight."""
        return F.rms_norm(x, layer.normalized_shape, eps=layer.eps)


class GroupNormGradients(LayerGradients):
    """weight: per channel the sum over places of g ⊙ normalised x; bias: of g."""

    def terms(self, layer: nn.GroupNorm, names: set[str], x: Tensor, g: Tensor, records: int) -> dict[str, Term]:
        """See `LayerGradients`: x and g [rows, c, *size].

        The sums are those of one row that has the channels of all rows.
        """
        rows, channels = x.shape[:2]
        x, g = (t.reshape(rows, channels, -1).contiguous() for t in (x, g))  # the kernels refuse channels-last strides
        groups, places = layer.num_groups, x.shape[2]
        _, *statistics = torch.native_group_norm(x, None, None, rows, channels, places, groups, layer.eps)
        one_row = 1, rows * channels, places, rows * groups  # whose channels are those of all rows
        x, g, mean, scale = (t.reshape(1, -1, *t.shape[2:]) for t in (x, g, *statistics))
        _, *found = torch.ops.aten.native_group_norm_backward(g, x, mean, scale, None, *one_row, [False, True, True])
        sums = (t.reshape(records, -1, channels).sum(1) for t in found)
        return {name: Dense(t) for name, t in zip(("weight", "bias"), sums, strict=True) if name in names}


LAYERS: Mapping[type[nn.Module], LayerGradients] = {
    nn.Linear: LinearGradients(),
    nn.Conv1d: ConvGradients(),
    nn.Conv2d: ConvGradients(),
    nn.Conv3d: ConvGradients(),
    nn.ConvTranspose1d: ConvTransposeGradients(),
    nn.ConvTranspose2d: ConvTransposeGradients(),
    nn.ConvTranspose3d: ConvTransposeGradients(),
    nn.Embedding: EmbeddingGradients(),
    nn.EmbeddingBag: EmbeddingBagGradients(),
    nn.LayerNorm: LayerNormGradients(),
    nn.RMSNorm: RMSNormGradients(),
    nn.GroupNorm: GroupNormGradients(),
}
"""Layer type -> its rule. Exact types: a subclass may compute something else."""


def has_rule(layer: nn.Module, names: Iterable[str]) -> bool:
    """Whether the rule of a layer's type covers its trained parameters; a layer may have been given more of them."""
    return type(layer) in LAYERS and {"weight", "bias"}.issuperset(names)
