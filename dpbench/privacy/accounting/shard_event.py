"""The event of a release from one of many disjoint shards, drawn uniformly and in secret.

Guarantee. There are N shards, and q = 1/N. Shard k gives a vector g_k, any two vectors are at most Δ apart, and g_K +
N(0, σ²Δ²) is released for a uniform K. Neighbouring datasets differ in one record, so they differ in one shard j, which
gives the vector g_j or g'_j. Let M be the law of a release from another shard. Then the two datasets release

    P = (1 - q) M + q N(g_j, σ²Δ²)    and    Q = (1 - q) M + q N(g'_j, σ²Δ²).

Let H_α(P, Q) = sup_S P(S) - α Q(S) and α' = 1 + q (α - 1) for α ≥ 1. By advanced joint convexity (Balle, Barthe and
Gaboardi, 1807.01647, theorem 2), H_α'(P, Q) = q H_α(N(g_j), (1 - β) M + β N(g'_j)) with β = α'/α. The second argument
is a mixture of Gaussians whose means are at most Δ from g_j, and H_α is convex in it, so

    H_α'(P, Q) ≤ q H_α(N(0, σ²), N(1, σ²))    for every α' ≥ 1,

which also holds with P and Q exchanged. For α' < 1, H_α'(P, Q) = 1 - α' + α' H_{1/α'}(Q, P) gives the other half of the
bound. Neither direction of a Poisson sample of rate q, adding or removing a record, has both halves. There, all steps
have the same direction; here, M may be near g_j in one step and near g'_j in another. So this costs more.

The bound belongs to a pair of distributions (Zhu, Dong and Wang, 2106.08567, proposition 8), which composes adaptively.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dpbench.privacy.accounting.events import Event

if TYPE_CHECKING:
    import numpy as np
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution


@dataclass(frozen=True)
class ShardEvent(Event):
    """Gaussian noise on a vector of one of 1 / `sampling_rate` shards; σ is `noise_multiplier`, Δ is 1."""

    def losses(self, grid: float) -> PrivacyLossDistribution:
        """See `Event`."""
        import numpy as np
        from dp_accounting.pld.pld_pmf import create_pmf_pessimistic_connect_dots
        from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution

        points = np.arange(1 + math.ceil(self.largest_loss() / grid))
        epsilon = points * grid
        delta = self._delta(epsilon)
        below = -np.expm1(-epsilon[:0:-1]) + np.exp(-epsilon[:0:-1]) * delta[:0:-1]
        both, deltas = np.concatenate([-points[:0:-1], points]), np.concatenate([below, delta])
        return PrivacyLossDistribution(create_pmf_pessimistic_connect_dots(grid, both, deltas))

    def _delta(self, epsilon: np.ndarray) -> np.ndarray:
        """The bound on H_α' at α' = exp(ε), for ε ≥ 0."""
        import numpy as np
        from scipy.special import log_ndtr

        mu = 1 / self.noise_multiplier
        with np.errstate(over="ignore"):
            log_alpha = np.where(
                epsilon < 600, np.log1p(np.expm1(epsilon) / self.sampling_rate), epsilon - math.log(self.sampling_rate)
            )
        upper, lower = log_ndtr(mu / 2 - log_alpha / mu), log_ndtr(-mu / 2 - log_alpha / mu)
        return np.asarray(self.sampling_rate * -np.expm1(np.minimum(0, log_alpha + lower - upper)) * np.exp(upper))

    def largest_loss(self) -> float:
        """See `Event`; for an output ten standard deviations away."""
        unsampled = 10 / self.noise_multiplier + 1 / (2 * self.noise_multiplier**2)
        return unsampled + math.log(self.sampling_rate + (1 - self.sampling_rate) * math.exp(-unsampled))

    def renyi(self, orders: Sequence[float]) -> np.ndarray:
        """See `Event`; a bound: exp((α - 1) D_α) is jointly convex, and P and Q differ in the shard j alone."""
        import numpy as np

        q, a = self.sampling_rate, np.asarray(orders)
        of_shard = a * (a - 1) / (2 * self.noise_multiplier**2)
        return np.logaddexp(math.log1p(-q), math.log(q) + of_shard) / (a - 1)
