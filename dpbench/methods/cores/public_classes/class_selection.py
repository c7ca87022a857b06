"""Public images selected by a noisy histogram of votes [private classes, public classes], and batches of them.

Everything here is post-processing of the histogram. A selection is a matrix of weights of the same shape: how many
images of a public class are shown as a private class.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from dpbench.core.data import ImageDataset
from dpbench.training.public_batches import PublicBatches


class Votes(NamedTuple):
    """A released histogram, with its public properties.

    Attributes:
        counts: noisy votes, [private classes, public classes].
        images: number of public images of each public class, int64 [public classes].
        per_record: votes of a record.
        noise: standard deviation of the noise of a count.
    """

    counts: Tensor
    images: Tensor
    per_record: int
    noise: float


def select_top(votes: Votes) -> Tensor:
    """For each private class, the public classes with most votes, as many as a record has; all their images alike.

    As published, private classes choose in order, and a public class can be chosen only once.
    """
    weights, left = torch.zeros_like(votes.counts), votes.counts.masked_fill(votes.images == 0, -math.inf)
    for row in range(len(left)):
        chosen = left[row].topk(votes.per_record).indices
        weights[row, chosen] = votes.images[chosen].to(weights)
        left[:, chosen] = -math.inf
    return weights


def match_histogram(votes: Votes) -> Tensor:
    """All public classes, in proportion to their votes (RPGen, AAAI 2026).

    Counts below σ √(2 ln cells) are dropped: noise alone hardly exceeds this bound, but over many public classes the
    positive noise would add up to more than the votes. The largest count of a row always stays.
    """
    counts = votes.counts.masked_fill(votes.images == 0, -math.inf)
    bound = votes.noise * math.sqrt(2 * math.log(counts.numel()))
    largest = torch.zeros_like(counts).scatter(1, counts.argmax(1, keepdim=True), 1.0)
    return torch.where(counts > bound, counts, 0).maximum(largest)


SELECTIONS: dict[str, Callable[[Votes], Tensor]] = {"top": select_top, "match": match_histogram}
"""`select` of the settings -> weights [private classes, public classes] of the votes."""


def public_labels(public: ImageDataset, chunk: int = 1000) -> Tensor:
    """The labels of all records of a labelled public source, int64 [n]. Also reads the images."""
    batches = (public.batch(range(start, min(start + chunk, len(public)))) for start in range(0, len(public), chunk))
    return torch.cat([batch.labels for batch in batches if batch.labels is not None])


class AssignedImages:
    """Public images under the labels of the private classes that they were assigned to.

    Args:
        batches: the public images.
        labels: their public labels, int64 [n].
        weights: a selection, [private classes, public classes]. Data without classes have one row, whose number, 0, is
            also their null label.
        generator: source of the choice of images (CPU).
    """

    def __init__(self, batches: PublicBatches, labels: Tensor, weights: Tensor, generator: torch.Generator):
        self._batches = batches
        self._weights = weights
        self._generator = generator
        self._sizes = torch.bincount(labels, minlength=weights.shape[1])
        self._first = self._sizes.cumsum(0) - self._sizes
        self._by_label = labels.argsort(stable=True)

    def draw(self, size: int) -> tuple[Tensor, Tensor]:
        """Images [size, c, h, w] in [-1, 1] and their private labels, int64 [size], drawn with replacement."""
        cells = torch.multinomial(self._weights.flatten(), size, replacement=True, generator=self._generator)
        private, public = cells // self._weights.shape[1], cells % self._weights.shape[1]
        within = (torch.rand(size, generator=self._generator) * self._sizes[public]).long()
        images = self._batches.at(self._by_label[self._first[public] + within]).images
        assert images is not None
        return images, private
