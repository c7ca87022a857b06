"""The mean of the k embeddings nearest to a public query, with noise (DP-RDM, Lebensold et al., arXiv 2403.14421).

Whether a record counts in such a mean depends on the other records. So records do not contribute independently, as they
must for the usual bound on the sensitivity of a sum. Another argument takes the place of that bound.
"""

from __future__ import annotations

from dataclasses import dataclass

from dpbench.core.errors import ConfigError
from dpbench.privacy.mechanisms.mechanism import Query


@dataclass(frozen=True, kw_only=True)
class NearestMean(Query):
    """`PrivateData.nearest_means`: means of the k embeddings nearest to public queries, with Gaussian noise.

    Release. Every record has an embedding of norm at most `clip`, a class, and a position. A release draws a Poisson
    sample and answers one query per class. Order the sampled records of the class by distance to the query, then by
    position. N is the first k of them, or all of them if there are fewer. The answer is (Σ_N embedding + noise) / k.
    The divisor is k, however many records are in N: missing ones count as zero vectors.

    Sensitivity. A record's embedding, class and distance are computed from that record alone, and distances are
    compared exactly. So when a record r leaves a sample, the order of the others stays the same. If r was not in N, N
    stays the same. Otherwise the next record in the order, s, takes the place of r, and the sum moves by s - r, of norm
    at most 2 · clip; if there is no next record, the sum moves by -r. Only the row of r's class moves. So the sums of
    all classes together have sensitivity 2 · clip, and the means have 2 · clip / k. This is reached where s = -r.

    Guarantee. The noise on the sums has a standard deviation of noise_multiplier times their sensitivity. For each
    sample of the other records, a release with r and one without it are Gaussians around points at most 2 · clip apart.
    The divergence is convex in both, so averaging over the samples does not increase it: a release reveals at most as
    much as Gaussian noise on a Poisson sample, which is what is planned. Each release draws a sample of its own, so
    releases compose.

    The published σ is the standard deviation of the noise on a mean of unit vectors: noise_multiplier = σ k / 2. With
    k = 18, rate 1%, σ = 0.2 and 1,000 queries, ε at δ = 1e-7 is 0.997 by Rényi accounting, as published, and 0.928 by
    privacy loss distributions. In that setting, no query has a class.

    Attributes:
        neighbours: k.
    """

    neighbours: int

    def __post_init__(self) -> None:
        if self.neighbours < 1:
            raise ConfigError(f"{self.name}: a mean needs at least one neighbour, not {self.neighbours}")
        super().__post_init__()

    @property
    def sensitivity(self) -> float:
        """Largest distance between the sums of a release with one record more or less."""
        return 2 * self.clip

    def noise_scale_at(self, number: int) -> float:
        """See `Mechanism`; on the sums, where it is k times larger than on the means."""
        return self._calibrated() * self.segment_at(number).noise * self.sensitivity
