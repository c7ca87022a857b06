"""The Gram form of squared norms and the bounds on its rounding; the proof is in `terms`."""

from __future__ import annotations

import torch
from torch import Tensor

SLACK = 1e-3
"""Largest share of a squared norm that is added for rounding in the fp32 Gram form; the norm grows by half of it."""

CANCELS = 1e-3
"""Terms cancel where ‖G‖² is less than this share of (Σ_t ‖g_t‖ ‖x_t‖)²."""

LONG = 1e10
"""Norm of a factor above which a product with a small weight or factor may leave fp32's range."""


def gram_form(xx: Tensor, gg: Tensor, n: int, m: int) -> Tensor:
    """The norms of Σ_t g_t x_tᵀ, without computing the matrix itself.

    Args:
        xx: x_t·x_s over n numbers, [b, t, t], added up in any order in its own precision.
        gg: g_t·g_s over m numbers, likewise.
        n: numbers in x_t.
        m: numbers in g_t.

    Returns:
        fp64 [4, b]: the squared norm; how far that may be off; L = Σ_t ‖g_t‖ ‖x_t‖; the largest of all ‖g_t‖, ‖x_t‖.
        The last three are upper bounds but for a share of γ(n) and γ(m), which the factors 1.1 in their uses cover (in
        fp32 up to n + m = 10⁶; beyond, the second exceeds `SLACK` of the first by far, and fp64 follows).
    """
    precision, t = torch.finfo(xx.dtype), xx.shape[1]
    xx, gg = xx.double(), gg.double()
    xs = (xx.diagonal(dim1=1, dim2=2) + 2 * n * precision.tiny).sqrt()
    gs = (gg.diagonal(dim1=1, dim2=2) + 2 * m * precision.tiny).sqrt()
    lengths = torch.linalg.vecdot(xs, gs)
    share = 1.1 * ((n + m) * precision.eps / 2 + (t * t + 4) * torch.finfo(torch.float64).eps)
    underflow = 4 * precision.tiny * (n * gs.sum(1).square() + m * xs.sum(1).square())
    squares = torch.linalg.vecdot(xx.flatten(1), gg.flatten(1))
    return torch.stack([squares, share * lengths.square() + underflow, lengths, torch.maximum(xs, gs).amax(1)])


def has_to_be_multiplied_out(measured: Tensor) -> Tensor:
    """Whether a record's terms cancel or are too long, by `gram_form`: bool [b]."""
    squares, _, lengths, longest = measured
    return (squares < CANCELS * lengths.square()) | (longest > LONG)
