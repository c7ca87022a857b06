"""Clipping of per-record vectors, which bounds the sensitivity of every noisy sum."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from dpbench.core.errors import PrivacyError, UnknownName
from dpbench.models.precision import full_precision

LARGEST = 1e30
"""Norm above which a contribution counts as zero, because fp32 could not represent it."""

BLOCK = 512
"""Number of squares that are added in fp32."""

FP32 = torch.finfo(torch.float32)

CLIPPINGS: Mapping[str, float | None] = {"flat": None, "automatic": 0.01}
"""Kinds of clipping by name, with the γ of automatic clipping; see `clip_weights`."""

HEAVIEST = 1e12
"""Largest weight, so that fp32 can represent what it multiplies."""


def gamma_of(clipping: str) -> float | None:
    """The γ of a kind of clipping.

    Raises:
        UnknownName: `CLIPPINGS` has none of that name.
    """
    if clipping not in CLIPPINGS:
        raise UnknownName("clipping", clipping, CLIPPINGS)
    return CLIPPINGS[clipping]


def clip_weights(squares: Tensor, real: Tensor, clip: float, gamma: float | None = None) -> tuple[Tensor, Tensor]:
    """Each record's clipping weight, and whether its vector is usable: (fp32 [b], bool [b]).

    The weight is min(1, clip/norm), or clip/(norm + γ) for automatic clipping (arXiv 2206.07136), which nearly
    normalises all vectors that are longer than γ. In both cases, the weighted vector has norm at most `clip`. The
    weight is rounded once; it is 0 for padding, and for a norm that is not finite or exceeds `LARGEST`. A weight below
    fp32's normal numbers is 0 as well: it would be rounded by more than 1e-7 of itself.

    Args:
        squares: squared norms, fp64 [b], or upper bounds on them.
        real: bool [b]; False marks padding.
        clip: bound on the norm; where it is infinite, weights are 1.
        gamma: γ of automatic clipping, positive; None for flat clipping.
    """
    norms = squares.sqrt()
    kept = norms <= LARGEST
    if gamma is None or clip == math.inf:
        weights = torch.where(norms <= clip, 1.0, clip / norms)
    else:
        weights = (clip / (norms + gamma)).clamp_max(HEAVIEST)
    return torch.where(real & kept & (weights >= FP32.tiny), weights, 0.0).float(), kept


def squared_norms(values: Tensor) -> Tensor:
    """Upper bounds on the squared norms of fp32 vectors [b, ...]: fp64 [b].

    They exceed the square by at most 1e-4 of it (plus 1e-38 per number), and are infinite from about 1e19, where fp32
    squares overflow.

    Squares are added in fp32 within blocks of `BLOCK` and in fp64 over blocks, so the length of a vector does not
    matter. The relative error of a block is at most γ(BLOCK + 3), plus `FP32.tiny` for each square too small for fp32.
    """
    values = values.flatten(1)
    n = values.shape[1]
    whole, parts = n - n % BLOCK, []
    if whole:
        parts.append(torch.linalg.vector_norm(values[:, :whole].unflatten(1, (-1, BLOCK)), dim=2))
    if whole < n:
        parts.append(torch.linalg.vector_norm(values[:, whole:], dim=1, keepdim=True))
    norms = (parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)).double()
    return torch.linalg.vecdot(norms, norms) * (1 + 1.1 * (BLOCK + 3) * FP32.eps / 2) + n * FP32.tiny


def clipped_rows(values: Tensor, clip: float) -> Tensor:
    """Each row of [b, ...] scaled to an L2 norm of at most `clip`; a row that is not finite becomes zero."""
    rows = values.detach().float().flatten(1)
    weights, kept = clip_weights(squared_norms(rows), torch.ones_like(rows[:, 0], dtype=torch.bool), clip)
    return (torch.where(kept[:, None], rows, 0) * weights[:, None]).reshape(values.shape)


def clipped_sum(values: Tensor, real: Tensor, clip: float, order: int = 2) -> Tensor:
    """Σ over real records of the record's vector scaled to a norm of at most `clip`; see `clip_weights`.

    Args:
        values: [b, ...]; dense, or sparse in its first dimensions.
        real: bool [b]; False marks padding.
        clip: bound on each record's norm.
        order: order of the norm: 2 for L2, 1 for L1.

    Raises:
        PrivacyError: see `distinct_places`.
    """
    if values.is_sparse:
        values = distinct_places(values)
        record, *place = values.indices()
        entries = values.values().float().reshape(len(record), -1)
    else:
        record, place = torch.arange(len(values), device=values.device), []
        entries = values.float().reshape(len(values), -1)
    powers = torch.zeros(len(real), dtype=torch.float64, device=values.device)
    norms = torch.linalg.vector_norm(entries, ord=order, dim=1, dtype=torch.float64)
    powers.index_add_(0, record, norms.pow(order))
    weights, kept = clip_weights(powers.pow(2 / order), real, clip)
    entries = torch.where(kept[record][:, None], entries, 0)
    if not place:
        with full_precision(entries.device):
            return (weights[record] @ entries).reshape(values.shape[1:])
    dense = entries.reshape(values.values().shape) * weights[record].reshape(-1, *[1] * (values.dense_dim()))
    return torch.zeros(values.shape[1:], device=values.device).index_put_(tuple(place), dense, accumulate=True)


def distinct_places(values: Tensor) -> Tensor:
    """The sparse tensor with the entries of each place added up, even if it claims that no place occurs twice.

    `coalesce` and `to_dense` take a place outside the tensor, such as -1 in the second row, for one in another record's
    row, so places are checked before.

    Raises:
        PrivacyError: a place is outside the tensor.
    """
    places, entries = values._indices(), values._values()
    sizes = torch.tensor(values.shape[: len(places)], device=places.device)[:, None]
    if ((places < 0) | (places >= sizes)).any():
        shape = tuple(values.shape[1:])  # without the number of records, which may be that of a secret sample
        raise PrivacyError(
            f"a sparse contribution has an index outside its shape {shape} per record; indices start at 0"
        )
    return torch.sparse_coo_tensor(places, entries, values.shape, check_invariants=True).coalesce()


def clamped_sum(values: Tensor, real: Tensor, clip: float) -> Tensor:
    """Σ over real records of the record's numbers, each clamped to [0, clip]; those that are not finite count as 0.

    Args:
        values: [b, ...]; dense or sparse.
        real: bool [b]; False marks padding.
        clip: largest number.

    Raises:
        PrivacyError: see `distinct_places`.
    """
    values = (distinct_places(values).to_dense() if values.is_sparse else values).float()
    kept = values.isfinite() & real.reshape(-1, *[1] * (values.ndim - 1))
    return torch.where(kept, values, 0).clamp(0, clip).sum(0)
