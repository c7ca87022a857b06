"""Which attention matrices matter for the private images: the query of DP-SAPF (arXiv 2605.30312).

A record contributes the squared norms of its clipped gradient, one per matrix. They are non-negative and add up to at
most C², so their L2 norm is also at most C². This is the sensitivity of the sum.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dpbench.core.context import RunContext
from dpbench.core.specs import Batch
from dpbench.models.lora import ATTENTION, name_matcher
from dpbench.privacy.gradients.bookkeeping import BookKeepingEngine
from dpbench.privacy.gradients.engine import Loss
from dpbench.privacy.private_data import PrivateData

CHUNK = 128
"""Records whose gradients are computed together."""


def attention_matrices(model: nn.Module) -> dict[str, nn.Linear]:
    """The projections of all attention layers, by their names."""
    wanted = name_matcher(ATTENTION)
    return {name: m for name, m in model.named_modules() if isinstance(m, nn.Linear) and wanted(name)}


def most_salient(
    private: PrivateData, query: str, model: nn.Module, loss: Loss, clip: float, share: float, run: RunContext
) -> list[str]:
    """The names of the attention matrices with the largest noisy sums of squared gradient norms.

    Args:
        private: the records that `loss` takes.
        query: a `NoisySum` of the plan with clip C².
        model: the model before training.
        loss: one random draw per record.
        clip: C, bound on the norm of a record's gradient over all attention matrices.
        share: share of the matrices that are chosen, in (0, 1].
        run: device and generator of the draws.
    """
    matrices = attention_matrices(model.to(run.device))
    model.requires_grad_(False)
    for matrix in matrices.values():
        matrix.weight.requires_grad_(True)
    engine = BookKeepingEngine(model, loss)
    try:
        norms = private.derive(
            lambda batch, generator: _clipped_squares(engine, batch, generator, clip), CHUNK, generator=run.generator
        )
        sums = _noisy_sum(norms, query)
    finally:
        engine.close()
    names = list(matrices)
    return [names[k] for k in sums.topk(math.ceil(share * len(names))).indices.tolist()]


def _noisy_sum(norms: PrivateData, query: str) -> Tensor:
    """The noisy sum of the vectors derived from the records."""

    def contribution(batch: Batch) -> Tensor:
        assert batch.derived is not None
        return batch.derived

    return norms.noisy_sum(query, contribution)


def _clipped_squares(engine: BookKeepingEngine, batch: Batch, generator: torch.Generator, clip: float) -> Tensor:
    """min(1, C / ‖g‖)² ‖g_j‖² for every matrix j: fp32 [b, matrices]."""
    with torch.enable_grad():
        squares = engine.squared_norms(batch, generator)
    total = squares.sum(1, keepdim=True)
    return (squares * (clip**2 / total.clamp_min(1e-30)).clamp_max(1)).float()
