"""Votes of private records for the public candidates that are nearest to them (Private Evolution, arXiv 2305.15560)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dpbench.core.specs import Batch
from dpbench.models.nearest_points import nearest_points
from dpbench.privacy.private_data import PrivateData

Embed = Callable[[Tensor], Tensor]
"""uint8 images [b, c, h, w] -> embeddings [b, d] on the same device, each computed from its own image only."""


def embedded(private: PrivateData, embed: Embed) -> PrivateData:
    """The private records as embeddings, which stay inside the vault."""

    def embeddings(batch: Batch) -> Tensor:
        assert batch.images is not None
        return embed(batch.images)

    return private.derive(embeddings)


def nearest_votes(private: PrivateData, mechanism: str, candidates: Tensor, votes: int) -> Tensor:
    """Releases once how many private records have each candidate among their nearest: [classes, candidates].

    Sensitivity: a record adds 1/√votes for each of the `votes` candidates of its own class that are nearest to it, and
    0 elsewhere: a vector of norm 1. The candidates are public, because they follow from public data and earlier
    releases.

    Args:
        private: the records that `embedded` returned.
        mechanism: name of a `NoisySum` with clip 1 in the plan.
        candidates: embeddings, float [classes, candidates, d]; one class for data without classes.
        votes: candidates that a record votes for.

    Returns:
        noisy sums on the CPU; one vote counts 1/√votes.
    """
    classes, size, _ = candidates.shape
    points = candidates.flatten(0, 1).to(private.device)
    classes_of_points = torch.arange(classes, device=private.device).repeat_interleave(size)

    def contribution(batch: Batch) -> Tensor:
        assert batch.derived is not None
        b, device = len(batch.derived), batch.derived.device
        places = nearest_points(batch.derived, points, votes, (batch.class_rows.to(device), classes_of_points))
        records = torch.arange(b, device=device).repeat_interleave(votes)
        cells = torch.stack([records, places.flatten() // size, places.flatten() % size])
        ballots = torch.full((b * votes,), votes**-0.5, device=device)
        return torch.sparse_coo_tensor(cells, ballots, (b, classes, size), check_invariants=False)

    return private.noisy_sum(mechanism, contribution).cpu()
