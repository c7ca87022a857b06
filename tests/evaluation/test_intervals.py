from __future__ import annotations

import numpy as np
import pytest
import torch

from dpbench.evaluation import intervals as bootstrap


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_interval_of_a_mean_is_that_of_its_normal_approximation() -> None:
    x = np.random.default_rng(0).normal(3, 2, 4000)
    found = bootstrap.mean(x, generator())
    assert found.value == pytest.approx(x.mean())
    assert found.ci95 == pytest.approx(1.96 * x.std() / np.sqrt(len(x)), rel=0.1)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    found = [bootstrap.mean(rng.exponential(size=80), generator(k)) for k in range(200)]
    assert 0.89 < np.mean([abs(f.value - 1) < f.ci95 for f in found]) < 0.99


def test_a_function_of_means_is_resampled_through_the_function() -> None:
    x = np.random.default_rng(0).normal([5, 2], size=(3000, 2))
    found = bootstrap.of_means(lambda m: m[:, 0] / m[:, 1], x, generator())
    assert found.value == pytest.approx(x[:, 0].mean() / x[:, 1].mean())
    influence = (x[:, 0] - found.value * x[:, 1]) / x[:, 1].mean()
    assert found.ci95 == pytest.approx(bootstrap.around(found.value, influence, generator(1)).ci95, rel=0.1)


def test_an_offset_of_influences_does_not_count_and_constants_have_no_interval() -> None:
    x = np.random.default_rng(0).normal(size=500)
    one, other = (bootstrap.around(7, x + shift, generator()) for shift in (0, 100))
    assert one.value == other.value == 7
    assert one.ci95 == pytest.approx(other.ci95)
    assert bootstrap.mean(np.ones(10), generator()).ci95 == 0


@pytest.mark.parametrize("images", [1, 2, 4, 5])
def test_a_few_images_have_no_interval(images) -> None:
    x = np.random.default_rng(0).normal(size=images)
    found = bootstrap.mean(x, generator())
    assert found.value == pytest.approx(x.mean())
    assert np.isnan(found.ci95) == (images < bootstrap.FEWEST)


def test_how_many_draws_are_in_memory_together_changes_nothing(monkeypatch) -> None:
    x = np.random.default_rng(0).normal(size=300)
    at_once = bootstrap.mean(x, generator())
    drawn = []
    randint = torch.randint
    monkeypatch.setattr(torch, "randint", lambda n, size, **rest: drawn.append(size) or randint(n, size, **rest))
    monkeypatch.setattr(bootstrap, "AT_ONCE", 1000)
    assert bootstrap.mean(x, generator())[:2] == pytest.approx(at_once[:2], rel=1e-12)
    assert max(rows * n for rows, n in drawn) <= 1000
