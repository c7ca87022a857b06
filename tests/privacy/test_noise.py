from __future__ import annotations

import copy
import pickle
import random

import numpy as np
import pytest
import torch
from scipy import stats
from vaults import SIGMAS

from dpbench.core.errors import PrivacyError
from dpbench.privacy.noise import NoiseSource


def seed_everything() -> None:
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 (the global one is meant)
    random.seed(0)


def test_gaussian_noise_is_gaussian_with_the_standard_deviation_asked_for():
    n = 200_000
    noise = NoiseSource().gaussian((n // 100, 100), 3.0)
    assert noise.dtype == torch.float32
    assert abs(noise.mean()) < SIGMAS * 3 / n**0.5
    assert abs(noise.var() / 9 - 1) < SIGMAS * (2 / n) ** 0.5
    assert stats.kstest(noise.flatten().numpy() / 3, "norm").pvalue > 1e-8


def test_noise_has_any_shape_even_none():
    source = NoiseSource()
    assert source.gaussian((), 1.0).shape == ()
    assert source.gaussian((2, 0, 3), 1.0).shape == (2, 0, 3)


def test_no_deviation_is_no_noise():
    assert not NoiseSource().gaussian((5,), 0.0).any()


def test_releases_are_independent():
    source = NoiseSource()
    n = 50_000
    a, b = source.gaussian((n,), 1.0), source.gaussian((n,), 1.0)
    assert abs((a * b).mean()) < SIGMAS / n**0.5


def test_each_record_is_sampled_with_the_rate_independently():
    source, n, rate, rounds = NoiseSource(), 500, 0.3, 2_000
    drawn = np.zeros((rounds, n), bool)
    for i in range(rounds):
        drawn[i, source.poisson_sample(n, rate)] = True
    sizes = drawn.sum(axis=1)
    p_size = stats.binomtest(int(sizes.sum()), n * rounds, rate).pvalue
    assert p_size > 1e-8
    # Sizes of independent inclusions vary; a fixed batch size, or whole blocks at a time, would not do so as much.
    assert abs(sizes.var() / (n * rate * (1 - rate)) - 1) < SIGMAS * (2 / rounds) ** 0.5
    # No record is favoured, and neighbours do not come together.
    assert stats.chisquare(drawn.sum(axis=0)).pvalue > 1e-8
    together = (drawn[:, :-1] & drawn[:, 1:]).mean()
    assert together == pytest.approx(rate**2, abs=SIGMAS * rate * (2 / (rounds * n)) ** 0.5)


def test_a_poisson_sample_may_be_empty_and_is_everyone_at_rate_one():
    source = NoiseSource()
    assert source.poisson_sample(5, 1e-12) == []
    assert source.poisson_sample(5, 1.0) == [0, 1, 2, 3, 4]


def test_experiment_seeds_reach_neither_noise_nor_sample():
    drawn = []
    for _ in range(2):
        seed_everything()
        source = NoiseSource()
        seed_everything()
        drawn.append((source.gaussian((4,), 1.0), source.poisson_sample(1000, 0.5), source.seed()))
    (noise, sample, seed), (other_noise, other_sample, other_seed) = drawn
    assert not torch.equal(noise, other_noise)
    assert sample != other_sample
    assert seed != other_seed


def test_drawing_noise_leaves_the_experiments_generators_alone():
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    source = NoiseSource()
    source.gaussian((4,), 1.0)
    source.poisson_sample(10, 0.5)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    assert before[2] == random.getstate()


def test_a_source_with_a_seed_repeats_itself_and_says_so():
    assert NoiseSource().secret
    a, b, c = (NoiseSource(reproducible_seed=seed) for seed in (7, 7, 8))
    assert not a.secret
    first = a.gaussian((4,), 1.0)
    assert torch.equal(first, b.gaussian((4,), 1.0))
    assert not torch.equal(first, c.gaussian((4,), 1.0))
    assert not torch.equal(first, a.gaussian((4,), 1.0))
    assert a.poisson_sample(100, 0.5) != b.poisson_sample(100, 0.4)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_source_cannot_be_duplicated(duplicate):
    with pytest.raises(PrivacyError, match="same noise"):
        duplicate(NoiseSource())


def test_a_source_does_not_cross_a_fork(monkeypatch):
    source = NoiseSource()
    monkeypatch.setattr("os.getpid", lambda: -1)
    for draw in (lambda: source.gaussian((2,), 1.0), lambda: source.poisson_sample(2, 0.5), source.seed):
        with pytest.raises(PrivacyError, match="fork"):
            draw()
