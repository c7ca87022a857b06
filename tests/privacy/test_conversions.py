"""Noise multiplier, steps and ε: any two give the third."""

from __future__ import annotations

import pytest

from dpbench.core.errors import PrivacyError
from dpbench.privacy.conversions import Releases, convert

RATE, DELTA = 4096 / 60_000, 1e-5


def test_every_quantity_follows_from_the_other_two() -> None:
    calibrated = convert(Releases(RATE, DELTA, epsilon=1.0, steps=200))
    (mechanism,) = calibrated.mechanisms
    noise = mechanism.noise_multiplier
    assert mechanism.releases == 200
    assert 0.995 <= calibrated.epsilon <= 1
    assert convert(Releases(RATE, DELTA, noise=noise, steps=200)).epsilon == pytest.approx(calibrated.epsilon, rel=1e-3)
    (found,) = convert(Releases(RATE, DELTA, epsilon=1.0, noise=noise)).mechanisms
    assert 200 <= found.releases <= 203  # calibration aims at 99.9% of ε, so a few more steps fit


@pytest.mark.parametrize("known", [{}, {"noise": 1.0}, {"noise": 1.0, "epsilon": 1.0, "steps": 2}])
def test_exactly_one_quantity_is_unknown(known: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="two of epsilon, noise and steps"):
        Releases(RATE, DELTA, **known)


def test_noise_too_small_for_a_single_release_is_refused() -> None:
    with pytest.raises(PrivacyError, match="one release costs ε"):
        convert(Releases(RATE, DELTA, epsilon=0.01, noise=0.3))


def test_a_release_that_costs_almost_nothing_can_be_repeated_many_times() -> None:
    (found,) = convert(Releases(256 / 60_000, 1.5e-6, epsilon=1.0, noise=5.0)).mechanisms
    assert found.releases == pytest.approx(78_300, rel=0.01)


def test_releases_over_all_records_are_as_many_as_their_precision_allows() -> None:
    (found,) = convert(Releases(1.0, 1e-18, epsilon=1.0, noise=1000.0)).mechanisms
    cost = convert(Releases(1.0, 1e-18, noise=1000.0 / found.releases**0.5, steps=1)).epsilon
    assert cost == pytest.approx(1.0, rel=1e-3)


def test_without_noise_every_number_of_steps_costs_everything() -> None:
    assert convert(Releases(RATE, DELTA, noise=0.0, steps=3)).epsilon == float("inf")
    with pytest.raises(PrivacyError, match="one release costs ε = inf"):
        convert(Releases(RATE, DELTA, epsilon=1.0, noise=0.0))
