from __future__ import annotations

import numpy as np
import pytest
import torch
from image_fixtures import FeaturesInMemory

from dpbench.evaluation import intervals as bootstrap
from dpbench.metrics.statistics.class_entropy import inception_score


def score(x: np.ndarray, generator: torch.Generator) -> tuple[float, np.ndarray]:
    """Of logits [n, classes], in 10 splits."""
    return inception_score(FeaturesInMemory(x), lambda features: features, 10, generator)


@pytest.mark.parametrize("certainty", [1, 3])
@pytest.mark.parametrize("images", [100, 400])
def test_the_interval_covers_the_mean_over_fresh_sets(certainty: float, images: int) -> None:
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    sets = (certainty * rng.normal(size=(images, 12)) for _ in range(250))
    found = [bootstrap.around(*score(x, generator), generator) for x in sets]
    value, half = np.array([(estimate.value, estimate.ci95) for estimate in found]).T
    assert 0.91 <= np.mean(abs(value - value.mean()) < half) <= 0.985


def test_an_influence_is_what_leaving_the_image_out_changes(monkeypatch) -> None:
    monkeypatch.setattr(torch, "randperm", lambda n, generator: torch.arange(n))
    x = 2 * np.random.default_rng(0).normal(size=(40, 5))
    _, influences = score(x, torch.Generator())
    p = torch.from_numpy(x.astype(np.float32)).double().softmax(1).numpy()

    def split_score(rows: np.ndarray) -> float:
        return float(np.exp((rows * np.log(rows / rows.mean(0))).sum(1).mean()))

    without = np.array([split_score(np.delete(p[:4], image, 0)) for image in range(4)])
    expected = 40 / 10 * np.sqrt(3 / 4) * (without.mean() - without)
    np.testing.assert_allclose(influences[:4], expected, rtol=1e-5)
