"""The mean of the k embeddings nearest to a public query, with noise (DP-RDM, Lebensold et al., arXiv 2403.14421).

Whether a record counts in such a mean depends on the other records. That records contribute independently, which bounds
the sensitivity of a sum, is therefore not true of it, and another argument takes its place.
"""

from __future__ import annotations

from dataclasses import dataclass

from dpbench.core.errors import ConfigError
from dpbench.privacy.mechanisms import Query


@dataclass(frozen=True, kw_only=True)
class NearestMean(Query):
    """`PrivateData.nearest_means`: means of the k embeddings nearest to public queries, with Gaussian noise.

    Release. Every record has an embedding of norm at most `clip`, a class, and a position. A release draws a Poisson
    sample and answers one query per class: of the sampled records of the class, N is the first k in the order of
    distance to the query, then position; all of them if there are fewer. It is (Σ_N embedding + noise) / k. The divisor
    is k, however many there are: missing ones count as zero vectors.

    Sensitivity. Embedding, class and distance are computed of a record alone, and distances are compared exactly. So
    when a record r leaves a sample, the order of the others stays. If r was not in N, N stays. Otherwise the next one
    in the order, s, takes its place, and the sum moves by s - r, of norm at most 2 · clip; or by -r, if there is none.
    Only the row of r's class moves. So the sums of all classes together have sensitivity 2 · clip, the means
    2 · clip / k. It is reached where s = -r.

    Guarantee. The noise on the sums has noise_multiplier times this standard deviation. For each sample of the other
    records, a release with r and one without it are Gaussians around points at most 2 · clip apart. The divergence is
    convex in both, so averaging over the samples does not increase it: a release reveals at most what Gaussian noise on
    a Poisson sample does, which is billed. Releases draw samples of their own, so they compose.

    The published σ is the standard deviation of the noise on a mean of unit vectors: noise_multiplier = σ k / 2. With
    k = 18, rate 1%, σ = 0.2 and 1,000 queries, ε at δ = 1e-7 is 0.997 by Rényi accounting, as published, and 0.928 by
    privacy loss distributions. There, no query has a class.

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
        """See `Mechanism`; on the sums, so that it is k times larger than on the means."""
        return self._calibrated() * self.segment_at(number).noise * self.sensitivity
