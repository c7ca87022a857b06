"""The patches of the input that the places of a convolution see, channels last, and their matrix products."""

from __future__ import annotations

import functools
import math
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dpbench.privacy.gradients.terms import chunk


def patches(layer: Any, x: Tensor, padding: list[int]) -> Tensor:
    """The patch of each place: [rows, c, *size] -> [rows, places, kernel · c]."""
    seen = _windows(layer, _channels_last(x, padding), first=0)
    return seen.reshape(len(x), math.prod(seen.shape[1 : x.ndim - 1]), -1)


def products(layer: Any, x: Tensor, padding: list[int], g: Tensor, records: int) -> Tensor:
    """Σ over places and views of g · patchᵀ for each record: [records, *shape of the weight].

    The windows of the last dimension are copied out, and each place of the kernel in the other dimensions is one matrix
    product with a part of them. This makes fewer copies than patches do. A few records are processed at a time, so that
    they stay in a CPU's cache.
    """
    (outputs, c, *kernel), views, dims = layer.weight.shape, len(g) // records, x.ndim - 2
    *outer, last = kernel
    matrices = g.new_empty(*outer, records, outputs, last * c)
    each = chunk(views * g[0, 0].numel() * last * c, g.device)
    spans = [_spans(layer, dim, x.shape[2 + dim] + 2 * padding[dim]) for dim in range(dims - 1)]
    split = zip(x.split(each * views), g.split(each * views), matrices.split(each, dims - 1), strict=True)
    for inputs, gradients, part in split:
        seen = _windows(layer, _channels_last(inputs, padding), first=dims - 1).contiguous()
        by_record = gradients.flatten(2).unflatten(0, (-1, views)).transpose(1, 2).flatten(2)  # [b, outputs, places]
        for offsets in product(*map(range, outer)):
            rows = seen
            for dim, offset in enumerate(offsets):
                rows = rows[_at(dim + 1, spans[dim][offset])]
            torch.bmm(by_record, rows.reshape(len(by_record), -1, last * c), out=part[offsets])
    return matrices.unflatten(-1, (last, c)).movedim((dims - 1, dims, -1), (0, 1, 2))


def gram_of_patches(layer: Any, x: Tensor, padding: list[int], records: int) -> Tensor:
    """The inner products of the patches of each record's places, in the precision of x: [records, t, t].

    They are the inner products of the pixels, added up over the kernel one dimension at a time: no patch is made.
    """
    grid, dims = (len(x) // records, *x.shape[2:]), x.ndim - 2
    pixels = x.flatten(2).mT.reshape(records, -1, x.shape[1])
    gram = torch.bmm(pixels, pixels.mT).unflatten(2, grid).unflatten(1, grid)
    for dim, pad in enumerate(padding):
        one, other = 2 + dim, 3 + dims + dim
        around = [pad * (d in (one, other)) for d in reversed(range(gram.ndim)) for _ in range(2)]
        padded = F.pad(gram, around) if pad else gram
        spans = _spans(layer, dim, padded.shape[one])
        gram = functools.reduce(torch.add, (padded[_at(one, span)][_at(other, span)] for span in spans))
    return gram.flatten(1, dims + 1).flatten(2)


def _spans(layer: Any, dim: int, size: int) -> list[slice]:
    """The slice that each place of the kernel sees in one dimension of a padded input of that size."""
    kernel, stride, dilation = layer.kernel_size[dim], layer.stride[dim], layer.dilation[dim]
    last = size - dilation * (kernel - 1)
    return [slice(start, start + last, stride) for start in range(0, dilation * kernel, dilation)]


def _at(dim: int, span: slice) -> tuple[slice, ...]:
    return (slice(None),) * dim + (span,)


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
