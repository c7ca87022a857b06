"""μ of Gaussian differential privacy: one number for the whole privacy profile δ(ε), without a choice of δ.

A composition is μ-GDP if distinguishing two neighbours by its output is at least as hard as distinguishing N(0, 1) from
N(μ, 1) by one draw (Dong, Roth and Su, 1905.02383), that is, if its profile is nowhere above the Gaussian one

    δ_μ(ε) = Φ(μ/2 - ε/μ) - exp(ε) Φ(-μ/2 - ε/μ),

for ε ≥ 0 and in both directions, adding and removing a record. This is the smallest such μ for the numerical profile,
not a central limit, as Gomez et al. (2503.10945) recommend.

Both profiles are convex in x = exp(ε), so the composition's lies below its chords. A line 1 - β - αx is nowhere above
δ_μ exactly if some test between N(0, 1) and N(μ, 1) has the error rates α and β, or better ones, that is, if
Φ(Φ⁻¹(1 - α) - μ) ≤ β. So every chord asks for μ ≥ Φ⁻¹(1 - α) - Φ⁻¹(β), and the largest of these bounds serves the whole
profile.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dpbench.privacy.accounting.composition import compose, mu_of_gaussians
from dpbench.privacy.accounting.events import Event

NEGLIGIBLE = 1e-10
"""δ that μ does not cover: the guarantee is δ(ε) ≤ δ_μ(ε) + 1e-10.

Without it, a composition over Poisson samples would have no better μ than one over all records, because a record may be
drawn every time. Below about 1e-11, rounding errors of the numerical composition dominate.
"""

CHORDS = 128


def gdp(events: Sequence[Event], grid: float) -> float:
    """The smallest μ such that the composition is μ-GDP up to `NEGLIGIBLE`, rounded up by less than 1%.

    Exact for Gaussian releases over all records: √(Σ count / noise²). 0 for no events; ∞ where one of them has
    no noise and, with Poisson samples, where μ is above about 12, because rounding then hides the profile.

    Args:
        events: the composition.
        grid: step of the privacy losses, as fine as ε needs (`accounting.settle_grid`).
    """
    if any(e.noise_multiplier == 0 for e in events):
        return math.inf
    if (mu := mu_of_gaussians(events)) is not None:
        return mu
    losses = compose(tuple(events), grid)
    largest = losses.get_epsilon_for_delta(NEGLIGIBLE)
    if largest == 0:
        return 0.0
    epsilon = np.linspace(0, largest, CHORDS + 1)
    delta = np.array([losses.get_delta_for_epsilon(float(e)) for e in epsilon])
    return mu_above(epsilon, np.maximum(delta - NEGLIGIBLE, 0))


def mu_above(epsilon: np.ndarray, delta: np.ndarray) -> float:
    """The smallest μ whose profile is nowhere below the chords of the given one; ∞ where rounding leaves no chord.

    Args:
        epsilon: increasing [k].
        delta: δ(ε), decreasing and convex in exp(ε) [k].
    """
    from scipy.special import ndtri, ndtri_exp

    with np.errstate(divide="ignore", over="ignore"):
        scaled = np.maximum((delta[:-1] - delta[1:]) / np.expm1(np.diff(epsilon)), 0)  # α exp(ε) at a chord's left end
        log_alpha = np.log(scaled) - epsilon[:-1]
    power = np.minimum(delta[:-1] + scaled, 1)  # 1 - β
    return float(np.max(ndtri(power) - ndtri_exp(log_alpha)))
