from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from scipy import stats
from vaults import SIGMAS

from dpbench.privacy.noise import Draws, NoiseSource, global_randomness
from dpbench.privacy.noise_key import NoiseKey


def seed_everything() -> None:
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 (the global one is meant)
    random.seed(0)


def draws(number: int = 1, key: NoiseKey | None = None) -> Draws:
    return NoiseSource(key=key).of("sum", number)


def test_gaussian_noise_is_gaussian_with_the_standard_deviation_asked_for():
    n = 200_000
    noise = draws().gaussian((n // 100, 100), 3.0)
    assert noise.dtype == torch.float32
    assert abs(noise.mean()) < SIGMAS * 3 / n**0.5
    assert abs(noise.var() / 9 - 1) < SIGMAS * (2 / n) ** 0.5
    assert stats.kstest(noise.flatten().numpy() / 3, "norm").pvalue > 1e-8


def test_noise_has_any_shape_even_none():
    assert draws().gaussian((), 1.0).shape == ()
    assert draws().gaussian((2, 0, 3), 1.0).shape == (2, 0, 3)


def test_no_deviation_is_no_noise():
    assert not draws().gaussian((5,), 0.0).any()


def test_releases_are_independent():
    n, key = 50_000, NoiseKey()
    source, release = NoiseSource(key=key), draws(key=key)
    within = release.gaussian((n,), 1.0), release.gaussian((n,), 1.0)
    others = [source.of(*of).gaussian((n,), 1.0) for of in [("sum", 2), ("steps", 1), ("sum", 12)]]
    everything = torch.stack([*within, *others])
    correlations = (everything @ everything.T / n)[~torch.eye(5, dtype=torch.bool)]
    assert correlations.abs().max() < SIGMAS / n**0.5


def test_a_release_is_the_same_whenever_it_is_made_and_another_one_with_another_key():
    key = NoiseKey()
    first, again = (NoiseSource(key=key).of("sum", 3) for _ in range(2))
    NoiseSource(key=key).of("sum", 4).gaussian((4,), 1.0)
    for name, arguments in {"poisson_sample": (1000, 0.5), "seed": ()}.items():
        assert getattr(first, name)(*arguments) == getattr(again, name)(*arguments)
    assert torch.equal(first.gaussian((4,), 1.0), again.gaussian((4,), 1.0))
    other = draws(3, NoiseKey())
    assert other.poisson_sample(1000, 0.5) != draws(3, key).poisson_sample(1000, 0.5)


def test_each_record_is_sampled_with_the_rate_independently():
    source, n, rate, rounds = NoiseSource(), 500, 0.3, 2_000
    drawn = np.zeros((rounds, n), bool)
    for i in range(rounds):
        drawn[i, source.of("steps", i).poisson_sample(n, rate)] = True
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
    assert draws().poisson_sample(5, 1e-12) == []
    assert draws().poisson_sample(5, 1.0) == [0, 1, 2, 3, 4]


def test_experiment_seeds_reach_neither_noise_nor_sample():
    drawn = []
    for _ in range(2):
        seed_everything()
        source = draws()
        seed_everything()
        drawn.append((source.gaussian((4,), 1.0), source.poisson_sample(1000, 0.5), source.seed()))
    (noise, sample, seed), (other_noise, other_sample, other_seed) = drawn
    assert not torch.equal(noise, other_noise)
    assert sample != other_sample
    assert seed != other_seed


def test_the_global_generator_draws_other_numbers_than_a_generator_with_its_seed():
    with global_randomness(5, "cpu"):
        drawn = torch.rand(8)
    assert not torch.isin(drawn, torch.rand(1000, generator=torch.Generator().manual_seed(5))).any()


def test_drawing_noise_leaves_the_experiments_generators_alone():
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    release = draws()
    release.gaussian((4,), 1.0)
    release.poisson_sample(10, 0.5)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    assert before[2] == random.getstate()


def test_a_key_from_a_seed_repeats_itself_and_says_so():
    assert not NoiseKey().reproducible
    a, b, c = map(NoiseKey.from_seed, (7, 7, 8))
    assert a.reproducible
    noise, same, other = (draws(key=key).gaussian((4,), 1.0) for key in (a, b, c))
    assert torch.equal(noise, same)
    assert not torch.equal(noise, other)
