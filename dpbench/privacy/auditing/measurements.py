"""Measurements of releases, compared with the plan: noise, participation, contributions.

Where an audit knows which coordinates hold only noise, and which records took part, a fault shows long before a lower
bound on ε exceeds the claim; some faults (a fixed batch size) hardly change such a bound. A measurement that is off by
more than `SIGMAS` standard errors counts as a fault.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

SIGMAS = 6
"""Standard errors that a measurement may be off: by chance once in 5·10⁸ measurements."""

ROUNDING = 1e-3
"""Relative error that fp32 may add to a measurement."""


def noise_scale(noise: NDArray[np.float64]) -> float:
    """Measured scale of noise that should have a standard deviation of 1, of any shape."""
    return float(np.sqrt(np.mean(np.square(noise))))


def noise_faults(noise: NDArray[np.float64], what: str) -> Iterator[str]:
    """Checks that every release has noise of the planned scale, independent of the release before.

    Args:
        noise: [releases, coordinates], released values where nothing contributes, in units of the planned scale.
        what: the releases' name in the messages.
    """
    if len(silent := np.flatnonzero(~noise.any(axis=1))):
        yield f"{len(silent)} of {len(noise)} releases of {what} have no noise"
    scale = noise_scale(noise)
    if not abs(scale - 1) <= SIGMAS / math.sqrt(2 * noise.size) + ROUNDING:
        yield f"the noise of {what} has {scale:.4g} times the planned scale"
    yield from _shared(noise[1:], noise[:-1], f"successive releases of {what}")


def shared_noise_faults(one: NDArray[np.float64], other: NDArray[np.float64], what: str) -> Iterator[str]:
    """Checks that two tensors of one release have independent noise.

    Args:
        one: [releases, coordinates], as for `noise_faults`.
        other: as `one`.
        what: the releases' name in the message.
    """
    yield from _shared(one, other, f"the tensors of a release of {what}")


def _shared(one: NDArray[np.float64], other: NDArray[np.float64], what: str) -> Iterator[str]:
    size = noise_scale(one) * noise_scale(other) if one.size else 0.0
    correlation = float((one * other).mean() / size) if size else 0.0
    if abs(correlation) > SIGMAS / math.sqrt(max(1, one.size)):
        yield f"{what} have noise in common: a correlation of {correlation:.2g}"


def sampling_faults(took_part: NDArray[np.bool_], rate: float, what: str) -> Iterator[str]:
    """Checks that records are sampled as in Poisson samples: each one independently in every release.

    Args:
        took_part: [releases, records].
        rate: the planned sampling rate, below 1.
        what: the releases' name in the messages.
    """
    releases, n = took_part.shape
    variance = rate * (1 - rate)
    centred = took_part - rate
    if abs(centred.mean()) > SIGMAS * math.sqrt(variance / took_part.size):
        yield f"records take part in {what} at a rate of {took_part.mean():.4g}, where {rate:.4g} is planned"
    spread = np.square(centred.sum(axis=1)).mean() / (n * variance)
    fourth = 3 + (1 - 6 * variance) / (n * variance)  # of a binomial count, in units of its variance
    if abs(spread - 1) > SIGMAS * math.sqrt((fourth - 1) / releases):
        yield f"batches of {what} vary in size {spread:.2g} times as much as Poisson samples: they are drawn otherwise"
    correlation = (centred[1:] * centred[:-1]).mean() / variance
    if abs(correlation) > SIGMAS / math.sqrt(centred[1:].size):
        yield f"who takes part in a release of {what} depends on the release before: a correlation of {correlation:.2g}"


def contribution_faults(parts: NDArray[np.float64], deviation: float, what: str) -> Iterator[str]:
    """Checks that every sampled record contributes exactly the clip, whichever others are sampled.

    Args:
        parts: released contributions, in units of the clip.
        deviation: standard deviation of the noise on each.
        what: the releases' name in the message.
    """
    wrong = parts[abs(parts - 1) > (SIGMAS + 1) * deviation + ROUNDING]
    if len(wrong):
        worst = wrong[np.argmax(abs(wrong - 1))]
        yield (
            f"records contribute other than the clip to {what}, {worst:.4g} times it at worst "
            f"({len(wrong)} of {len(parts)} parts)"
        )
