"""Votes of private records for public sources: each record votes for the source of its nearest image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dpbench.core.data import ImageDataset
from dpbench.core.specs import Batch
from dpbench.methods.cores.votes.nearest_votes import Embed
from dpbench.models.nearest_points import nearest_points
from dpbench.privacy.private_data import PrivateData

READ = 200
"""Public images read at once."""


class SourceBallot:
    """Images of the public sources that private records choose between, equally many of each.

    Args:
        sources: the public sources.
        most: images of each; fewer if a source has fewer. They are spread evenly over the source.
        embed: public embedding in which distances are measured.
        device: where it is computed.
    """

    def __init__(self, sources: Sequence[ImageDataset], most: int, embed: Embed, device: str):
        each = min(most, *map(len, sources))
        self._embed = embed
        self._candidates = len(sources)
        self._points = torch.cat([self._embedded(source, each, device) for source in sources])
        self._source_of = torch.arange(len(sources), device=device).repeat_interleave(each)

    @torch.no_grad()
    def _embedded(self, source: ImageDataset, number: int, device: str) -> Tensor:
        """Embeddings of `number` images of a source: [number, d]."""
        chosen = [i * len(source) // number for i in range(number)]
        parts = []
        for first in range(0, number, READ):
            images = source.batch(chosen[first : first + READ]).images
            assert images is not None
            parts.append(self._embed(images.to(device)))
        return torch.cat(parts)

    def vote(self, batch: Batch) -> Tensor:
        """1 for the source of the image that is nearest to each record, 0 for the others: [b, sources]."""
        assert batch.images is not None
        nearest = nearest_points(self._embed(batch.images), self._points)[:, 0]
        return F.one_hot(self._source_of[nearest], self._candidates).float()

    def count(self, private: PrivateData, mechanism: str) -> Tensor:
        """Releases once how many records vote for each source: noisy counts [sources] on the CPU.

        Sensitivity: whatever its image is, a record adds 1 for one source and 0 for the others: a vector of norm 1. The
        images that it chooses between are public.

        Args:
            private: the sensitive records.
            mechanism: name of a `NoisySum` with clip 1 in the plan.
        """
        return private.noisy_sum(mechanism, self.vote).cpu()
