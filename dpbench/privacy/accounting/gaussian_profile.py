"""The exact privacy profile δ(ε) of one Gaussian mechanism, or of any number of them over all records.

With μ = sensitivity / standard deviation (√(Σ count / noise²) for several), theorem 8 of Balle and Wang (1805.06530) is

    δ(ε) = Φ(-a) - exp(ε) Φ(-b),    a = ε/μ - μ/2,    b = ε/μ + μ/2.

Since exp(ε) φ(b) = φ(a), δ(ε) = φ(a) (R(a) - R(b)) with the Mills ratio R(x) = Φ(-x) / φ(x), in which nothing
underflows. This form is used for a > 0, where δ may be as small as 1e-300.
"""

from __future__ import annotations

import math

ROUNDING = 1e-9
"""Relative amount by which a result is raised, so that rounding errors never make it too small."""


def gaussian_epsilon(mu: float, delta: float) -> float:
    """The smallest ε ≥ 0 with δ(ε) ≤ `delta`, to about nine digits, rounded up.

    Args:
        mu: positive and finite.
        delta: in (0, 1).
    """
    from scipy.optimize import brentq

    target = math.log(delta)
    if log_delta(mu, 0.0) <= target:
        return 0.0
    enough = mu * mu / 2 + mu * math.sqrt(-2 * target)  # δ(ε) ≤ Φ(-a) ≤ exp(-a²/2)
    root = brentq(lambda epsilon: log_delta(mu, epsilon) - target, 0.0, enough, xtol=1e-12 * enough, rtol=1e-12)
    return float(root) * (1 + ROUNDING)


def log_delta(mu: float, epsilon: float) -> float:
    """ln δ(ε), without underflow; -∞ for a μ so small that δ is below every number."""
    from scipy.special import erfcx, log_ndtr

    a, b = epsilon / mu - mu / 2, epsilon / mu + mu / 2
    if a <= 0:
        return float(log_ndtr(-a) + _log(-math.expm1(epsilon + log_ndtr(-b) - log_ndtr(-a))))
    mills = (erfcx(a / math.sqrt(2)) - erfcx(b / math.sqrt(2))) / 2  # R(x) = √(π/2) erfcx(x/√2)
    return -a * a / 2 + _log(mills)


def _log(x: float) -> float:
    return math.log(x) if x > 0 else -math.inf
