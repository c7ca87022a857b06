"""A Gaussian per class over coarse wavelet bands, from noisy sums of the bands and of their products."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from dpbench.core.specs import Batch, Conditions
from dpbench.methods.cores.class_sums import class_sums
from dpbench.models.haar import coarse
from dpbench.privacy.private_data import PrivateData

CHUNK = 100
"""Records whose products of coefficients are computed at once."""


class CoarseGaussian:
    """Coarse images x ~ N(mean, root · rootᵀ) of each class, as vectors of pixels in [0, 1].

    A coarse image is the Haar LL band in pixel units: the mean of each block of 2^levels × 2^levels pixels.

    Args:
        shape: (channels, height, width) of a coarse image.
        classes: number of classes; 1 for data without classes.
        levels: Haar levels between the full and the coarse image.
    """

    def __init__(self, shape: tuple[int, int, int], classes: int, levels: int):
        self.shape, self.levels = shape, levels
        d = math.prod(shape)
        self.means, self.roots = torch.zeros(classes, d), torch.zeros(classes, d, d)

    def band(self, images: Tensor) -> Tensor:
        """uint8 [b, c, h, w] -> coarse images as vectors [b, d] in [0, 1]."""
        return coarse(images.float() / 255, self.levels).flatten(1)

    def copy(self, images: Tensor) -> None:
        """Sets every class to the mean and covariance of public images, uint8 [n, c, h, w]."""
        bands = torch.cat([self.band(some) for some in images.split(CHUNK)])
        self.means = bands.mean(0).expand_as(self.means).clone()
        self.roots = root(bands.T.cov(correction=0)[None], torch.zeros(1)).expand_as(self.roots).clone()

    def release_means(self, private: PrivateData, mechanism: str, clip: float, count_weight: float) -> Tensor:
        """Releases the mean of each class; returns the noisy counts [classes, 1].

        Sensitivity: a record contributes to the row of its class its coarse image, scaled to norm at most `clip` and
        then divided by `clip`, and `count_weight`: a vector of norm at most √(1 + count_weight²). Sums are divided by
        the noisy counts of the same release. A count is at least 1 and twice the standard deviation of its noise, so
        that a class of few records gets a faint mean and not one made of noise.
        """

        def clipped_and_count(batch: Batch) -> Tensor:
            assert batch.images is not None
            bands = self.band(batch.images)
            scaled = bands / torch.linalg.vector_norm(bands, dim=1, keepdim=True).clamp_min(clip)
            return torch.cat([scaled, torch.full_like(scaled[:, :1], count_weight)], 1)

        sums = class_sums(private, mechanism, clipped_and_count)
        count_noise = private.plan[mechanism].noise_scale_at(1) / count_weight
        counts = (sums[:, -1:] / count_weight).clamp_min(max(1.0, 2 * count_noise))
        self.means = clip * sums[:, :-1] / counts
        return counts

    def release_covariances(self, private: PrivateData, mechanism: str, counts: Tensor, pooling: float) -> None:
        """Releases the covariance of each class around the means that were released before.

        Sensitivity: let r be a record's coarse image minus the released mean of its class. The record contributes the
        products of the coefficients of r, off-diagonal ones once and times √2: a vector of norm ‖r‖². The mechanism
        clips it.

        Args:
            private: the sensitive records.
            mechanism: name of a `NoisySum` in the plan.
            counts: noisy number of records of each class, [classes, 1].
            pooling: share of the covariance that is that of all records around the means of their classes.
        """
        d, classes = self.means.shape[1], len(self.means)
        rows, columns = torch.triu_indices(d, d, device=self.means.device)
        weights = torch.where(rows == columns, 1.0, math.sqrt(2))

        def contribution(batch: Batch) -> Tensor:
            assert batch.images is not None
            rest = self.band(batch.images) - self.means[batch.class_rows.to(self.means.device)]
            return rest[:, rows] * rest[:, columns] * weights

        sums = class_sums(private, mechanism, contribution, CHUNK) / weights
        upper = torch.zeros(classes, d, d, device=sums.device)
        upper[:, rows, columns] = sums
        products = upper + upper.triu(1).transpose(1, 2)
        own, pooled = (1 - pooling) / counts[:, 0], pooling / counts.sum()  # weights of a class's sum, and of all sums
        mixed = own[:, None, None] * products + pooled * products.sum(0)
        deviation = private.plan[mechanism].noise_scale_at(1) / math.sqrt(2)
        of_mixed = deviation * ((own + pooled) ** 2 + (classes - 1) * pooled**2).sqrt()
        self.roots = root(mixed, 2 * math.sqrt(d) * of_mixed)

    def sample(self, conditions: Conditions, draws: int, generator: torch.Generator) -> Tensor:
        """`draws` coarse images per condition: [n · draws, c, h, w], in [-1, 1]."""
        labels = conditions.class_rows.repeat_interleave(draws)
        normal = torch.randn(len(labels), self.means.shape[1], generator=generator).to(self.means)
        labels = labels.to(self.means.device)
        images = self.means[labels]
        for label, of_class in enumerate(self.roots):
            images[labels == label] += normal[labels == label] @ of_class.T
        return images.clamp(0, 1).unflatten(1, self.shape) * 2 - 1

    def state_dict(self) -> dict[str, Tensor]:
        """Means and roots."""
        return {"means": self.means, "roots": self.roots}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores `state_dict()`."""
        self.means, self.roots = state["means"], state["roots"]


def root(covariances: Tensor, noise: Tensor) -> Tensor:
    """A root of each symmetric matrix [k, d, d] without the directions that noise could have made.

    Args:
        covariances: noisy covariance matrices.
        noise: [k], largest eigenvalue of a matrix of noise alone: 2s√d, where s is the standard deviation of its
            entries (Wigner's semicircle). Eigenvalues up to this bound, and negative ones, count as 0.
    """
    values, vectors = torch.linalg.eigh(covariances)
    kept = torch.where(values > noise[:, None], values, 0).clamp_min(0)
    return vectors * kept.sqrt()[:, None, :]
