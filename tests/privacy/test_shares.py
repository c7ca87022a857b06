"""Shares of a budget: additive, and those of Rényi divergences that are known in closed form."""

from __future__ import annotations

import pytest

from dpbench.privacy.accounting.events import GaussianEvent, LaplaceEvent
from dpbench.privacy.accounting.shares import shares


def test_gaussian_releases_share_by_their_inverse_variances() -> None:
    events = [[GaussianEvent(2.0, 1.0, 3)], [GaussianEvent(4.0, 1.0, 4)], [GaussianEvent(1.0, 1.0, 1)]]
    assert shares(events, 1e-5) == pytest.approx([0.75 / 2, 0.25 / 2, 0.5])  # count / σ²: 3/4, 1/4, 1


def test_shares_of_different_kinds_add_up_and_follow_the_noise() -> None:
    def of(noise: float) -> list[float]:
        return shares([[GaussianEvent(1.2, 0.02, 500)], [LaplaceEvent(noise, 1.0, 1)]], 1e-5)

    assert sum(of(5.0)) == pytest.approx(1)
    assert of(5.0)[1] < of(2.0)[1]


def test_sampling_makes_a_share_smaller() -> None:
    sampled, whole = shares([[GaussianEvent(2.0, 0.1, 1)], [GaussianEvent(2.0, 1.0, 1)]], 1e-5)
    assert 0 < sampled < 0.1 < whole


def test_releases_without_noise_share_everything() -> None:
    exact, noisy = [GaussianEvent(0.0, 1.0, 1)], [GaussianEvent(1.0, 1.0, 1)]
    assert shares([exact, noisy, exact], 1e-5) == [0.5, 0, 0.5]
    assert shares([[], []], 1e-5) == [0, 0]
    assert shares([noisy, []], 1e-5) == [1, 0]
