"""Clipping of per-record vectors: what bounds the sensitivity of every noisy sum."""

from __future__ import annotations

import torch
from torch import Tensor

LARGEST = 1e30
"""Norm above which a contribution counts as zero."""


def clipped_sum(values: Tensor, real: Tensor, clip: float) -> Tensor:
    """Σ over real records of the record's vector scaled to L2 norm at most `clip`; a non-finite one counts as zero.

    So does one whose norm exceeds `LARGEST`, which fp32 could not scale down to `clip` exactly.

    Args:
        values: [b, ...]; dense, or sparse in its first dimensions.
        real: bool [b]; False marks padding.
        clip: bound C.
    """
    if values.is_sparse:
        values = values.coalesce()
        record, *place = values.indices()
        entries = values.values().float().reshape(len(record), -1)
    else:
        record, place = torch.arange(len(values), device=values.device), []
        entries = values.float().reshape(len(values), -1)
    squares = torch.zeros(len(real), dtype=torch.float64, device=values.device)
    squares.index_add_(0, record, entries.double().square().sum(1))
    kept = (squares <= LARGEST**2) & real
    weights = torch.where(kept, clip / squares.sqrt().clamp_min(clip), 0).float()
    entries = torch.where(kept[record][:, None], entries, 0)
    if not place:
        with torch.autocast(entries.device.type, enabled=False):
            return (weights[record] @ entries).reshape(values.shape[1:])
    dense = entries.reshape(values.values().shape) * weights[record].reshape(-1, *[1] * (values.dense_dim()))
    return torch.zeros(values.shape[1:], device=values.device).index_put_(tuple(place), dense, accumulate=True)
