"""What the places of a convolution see of its input, channels last, and the matrix products of that."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import torch
from torch import Tensor

from dpbench.privacy.gradients.terms import chunk


def patches(layer: Any, x: Tensor, padding: list[int]) -> Tensor:
    """The patch of each place: [rows, c, *size] -> [rows, places, kernel · c]."""
    seen = _windows(layer, _channels_last(x, padding), first=0)
    return seen.reshape(len(x), math.prod(seen.shape[1 : x.ndim - 1]), -1)


def products(layer: Any, x: Tensor, padding: list[int], g: Tensor, records: int) -> Tensor:
    """Σ over places and views of g · patchᵀ for each record: [records, *shape of the weight].

    The windows of the last dimension are copied out, and each place of the kernel in the other dimensions is one matrix
    product with a part of them: fewer copies than patches are. It goes by a few records at a time, which stay in a
    CPU's cache.
    """
    (outputs, c, *kernel), views, dims = layer.weight.shape, len(g) // records, x.ndim - 2
    *outer, last = kernel
    matrices = g.new_empty(*outer, records, outputs, last * c)
    each = chunk(views * g[0, 0].numel() * last * c, g.device)
    split = zip(x.split(each * views), g.split(each * views), matrices.split(each, dims - 1), strict=True)
    for inputs, gradients, part in split:
        seen = _windows(layer, _channels_last(inputs, padding), first=dims - 1).contiguous()
        by_record = gradients.flatten(2).unflatten(0, (-1, views)).transpose(1, 2).flatten(2)  # [b, outputs, places]
        for offsets in product(*map(range, outer)):
            rows = seen
            for dim, offset in enumerate(offsets):
                start, step, n = offset * layer.dilation[dim], layer.stride[dim], g.shape[2 + dim]
                rows = rows[(slice(None),) * (dim + 1) + (slice(start, start + step * (n - 1) + 1, step),)]
            torch.bmm(by_record, rows.reshape(len(by_record), -1, last * c), out=part[offsets])
    return matrices.unflatten(-1, (last, c)).movedim((dims - 1, dims, -1), (0, 1, 2))


def _channels_last(x: Tensor, padding: list[int]) -> Tensor:
    """[rows, c, *size] -> [rows, *size with zero padding, c]."""
    rows, c, *size = x.shape
    padded = x.new_zeros(rows, *(n + 2 * pad for n, pad in zip(size, padding, strict=True)), c)
    inside = padded
    for dim, (n, pad) in enumerate(zip(size, padding, strict=True), start=1):
        inside = inside.narrow(dim, pad, n)
    inside.copy_(x.movedim(1, -1))
    return padded


def _windows(layer: Any, padded: Tensor, first: int) -> Tensor:
    """The windows of a convolution in the dimensions from `first` on, as a view that overlaps itself.

    [rows, *size, c] -> [rows, *size[:first], *places, *kernel[first:], c]
    """
    kernel, stride, dilation = (getattr(layer, name)[first:] for name in ("kernel_size", "stride", "dilation"))
    steps = padded.stride()[first + 1 : -1]
    geometry = zip(padded.shape[first + 1 : -1], kernel, stride, dilation, strict=True)
    places = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in geometry]
    return padded.as_strided(
        (*padded.shape[: first + 1], *places, *kernel, padded.shape[-1]),
        (
            *padded.stride()[: first + 1],
            *(step * s for step, s in zip(steps, stride, strict=True)),
            *(step * d for step, d in zip(steps, dilation, strict=True)),
            padded.stride(-1),
        ),
    )
