"""What a release from a secretly drawn shard costs, against integrals over concrete pairs of neighbours."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from dpbench.privacy.accounting.composition import epsilon_pld, epsilon_rdp
from dpbench.privacy.accounting.events import GaussianEvent
from dpbench.privacy.accounting.shard_event import ShardEvent
from dpbench.privacy.mechanisms.sanitised import SanitisedGradients

SIGMA, SHARDS = 0.6, 20
X = np.linspace(-12, 12, 200_001)


def law(others: list[float], own: float) -> np.ndarray:
    """Density of a release: the other shards' answers, and that of the differing record's shard."""
    weights = [(1 - 1 / SHARDS) / len(others)] * len(others) + [1 / SHARDS]
    return sum(w * norm.pdf(X, mean, SIGMA) for w, mean in zip(weights, [*others, own], strict=True))


def divergence(p: np.ndarray, q: np.ndarray, epsilon: float) -> float:
    """H_α(P, Q) at α = exp(ε)."""
    return float(np.maximum(p - math.exp(epsilon) * q, 0).sum() * (X[1] - X[0]))


@pytest.mark.parametrize("epsilon", [-2.0, -0.3, 0.0, 0.1, 0.5, 1.5, 3.0])
@pytest.mark.parametrize(
    ("others", "own", "without"),
    [([0.0], 1.0, 0.0), ([0.0], 0.0, 1.0), ([0.5], 0.0, 1.0), ([0.0, 1.0], 1.0, 0.0), ([0.2, 0.4], 0.0, 1.0)],
)
def test_no_pair_of_neighbours_is_easier_to_tell_apart_than_accounted_for(epsilon, others, own, without):
    delta = ShardEvent(SIGMA, 1 / SHARDS, 1).losses(1e-3).get_delta_for_epsilon(epsilon)
    assert divergence(law(others, own), law(others, without), epsilon) <= delta + 1e-9


@pytest.mark.parametrize("epsilon", [0.05, 0.5, 1.5])
def test_the_bill_is_reached_where_all_others_answer_as_the_record_does_without(epsilon):
    delta = ShardEvent(SIGMA, 1 / SHARDS, 1).losses(1e-4).get_delta_for_epsilon(epsilon)
    assert divergence(law([0.0], 1.0), law([0.0], 0.0), epsilon) == pytest.approx(delta, rel=1e-3)


def test_neither_direction_of_a_poisson_sample_bounds_the_other():
    """With the others at the record's answer or at the one without it, one pair is easier to tell on each side of 1."""
    removed, added = (law([0.0], 1.0), law([0.0], 0.0)), (law([1.0], 1.0), law([1.0], 0.0))
    assert divergence(*removed, 0.3) > 1.1 * divergence(*added, 0.3)
    assert divergence(*added, -0.3) > divergence(*removed, -0.3) + 1e-3


def test_shards_cost_more_than_a_poisson_sample_of_the_same_rate():
    for noise, shards, steps in [(0.6, 200, 2000), (1.0, 100, 1000)]:
        poisson = epsilon_pld([GaussianEvent(noise, 1 / shards, steps)], 1e-6)
        assert poisson < epsilon_pld([ShardEvent(noise, 1 / shards, steps)], 1e-6) < 1.3 * poisson


def published(noise: float) -> float:
    """ε of GS-WGAN's published run on MNIST (1000 shards, 20,000 steps of 32 images) at a multiplier per image."""
    mechanism = SanitisedGradients(
        name="gradients", clip=1.0, shards=1000, samples=32, steps=20_000, noise_multiplier=noise / math.sqrt(32)
    )
    return epsilon_pld(mechanism.events(), 1 / (60_000 * math.log(60_000)))


def test_the_published_noise_costs_hundreds():
    """1.07 is published for ε = 10, which counts the images of a step as independent releases."""
    assert 200 < published(1.07) < 1000


def test_ten_needs_more_than_twice_the_published_noise():
    assert published(2.5) > 10
    assert published(3.0) < 10


@pytest.mark.parametrize(("noise", "shards", "steps"), [(1.0, 100, 50), (0.6, 1000, 2000)])
def test_the_renyi_value_is_a_bound_that_knows_of_the_shards(noise, shards, steps):
    events, known = [ShardEvent(noise, 1 / shards, steps)], [GaussianEvent(noise, 1.0, steps)]
    assert epsilon_pld(events, 1e-5) < epsilon_rdp(events, 1e-5) < 0.2 * epsilon_rdp(known, 1e-5)


@pytest.mark.parametrize(("others", "own", "without"), [([0.0], 1.0, 0.0), ([1.0], 1.0, 0.0), ([0.5], 0.0, 1.0)])
def test_no_pair_of_neighbours_has_a_larger_renyi_divergence(others, own, without):
    p, q = law(others, own), law(others, without)
    for order, bound in zip((1.5, 2.0, 6.0), ShardEvent(SIGMA, 1 / SHARDS, 1).renyi([1.5, 2.0, 6.0]), strict=True):
        seen = (p > 1e-100) & (q > 1e-100)
        moment = ((p[seen] / q[seen]) ** order * q[seen]).sum() * (X[1] - X[0])
        assert math.log(moment) / (order - 1) <= bound
