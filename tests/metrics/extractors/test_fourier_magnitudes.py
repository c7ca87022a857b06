from __future__ import annotations

import numpy as np
import pytest
import torch


@pytest.fixture
def features(evaluation):
    """features(images) -> what the extractor makes of them."""
    return lambda x: evaluation(x).extractor("fourier-magnitude")(x)


def test_magnitudes_are_those_of_the_fourier_transform(features, noise) -> None:
    x = noise(3, 3)
    y = x.numpy() / 255.0
    y = (y - y.mean((1, 2, 3), keepdims=True)) / (y.std((1, 2, 3), keepdims=True) + 10 / 255)
    waves = np.abs(np.fft.fft2(y)) / 32  # [3, c, v, u]
    there, back = waves[..., :5, :5], waves[..., [0, -1, -2, -3, -4], :5]
    expected = np.stack([(there + back).reshape(3, -1), (there - back).reshape(3, -1)], 1) / np.sqrt(2)
    np.testing.assert_allclose(features(x), expected, rtol=1e-3, atol=1e-3)


def test_mirroring_changes_the_sign_of_the_second_part_alone(features, noise) -> None:
    x = noise(5, 3)
    sign = torch.tensor([[1.0], [-1.0]])
    torch.testing.assert_close(features(x.flip(3)), sign * features(x), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(features(x.flip(2)), sign * features(x), rtol=1e-3, atol=1e-3)
    assert features(x)[:, 1].norm() > 1


def test_shifts_and_contrast_change_nothing_and_other_images_do(features, noise) -> None:
    x = noise(5, size=28)
    torch.testing.assert_close(features(x.roll((2, -3), (2, 3))), features(x), rtol=1e-3, atol=1e-3)
    distances = [(features(y) - features(x)).norm(dim=(1, 2)) for y in (x // 10 * 9 + 20, noise(5, size=28, seed=1))]
    assert distances[0].max() < distances[1].min() / 5


def test_flat_images_have_no_features(features) -> None:
    assert features(torch.full((2, 3, 16, 16), 77, dtype=torch.uint8)).abs().max() < 1e-5
