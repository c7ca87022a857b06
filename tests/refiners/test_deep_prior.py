"""The deep-prior refiner: its non-local means, its 1-Lipschitz network, its early stop and the optimisation."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from dpbench.core.config import build
from dpbench.core.context import RunContext
from dpbench.core.errors import ConfigError
from dpbench.core.refiner import block_means
from dpbench.refiners.deep_prior import DeepPrior
from dpbench.refiners.networks.lipschitz import LipschitzConvolution, LipschitzNet
from dpbench.refiners.networks.non_local import non_local_means, patch_distances, window
from dpbench.refiners.networks.untrained import EarlyStop


def _random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_patch_distances_compare_patches_at_all_offsets():
    image = _random(1, 2, 6, 7)
    distances = patch_distances(image, patch=3, reach=1)
    patches = image.unfold(2, 3, 1).unfold(3, 3, 1)[0].movedim(0, 2)  # [rows, columns, c, 3, 3]
    for index, (y, x) in enumerate(window(1)):
        expected = (patches[2, 2] - patches[2 + y, 2 + x]).square().mean()
        assert distances[0, index, 2, 2].item() == pytest.approx(expected.item(), rel=1e-4)
    assert distances[0, 0, 0].isinf().all()


def test_non_local_means_average_like_pixels_and_keep_edges():
    edge = torch.where(torch.arange(16) < 8, -1.0, 1.0).expand(1, 1, 16, 16)
    noisy = edge + 0.1 * _random(1, 1, 16, 16)
    denoised = non_local_means(noisy, patch=3, reach=5, strength=0.2)
    assert (denoised - edge).norm() < 0.5 * (noisy - edge).norm()
    assert (denoised[..., 8] - denoised[..., 7]).min() > 1.5


def test_non_local_means_of_one_pixel_is_the_pixel():
    assert torch.allclose(non_local_means(_random(1, 1, 1, 1), 5, 7, 0.1), _random(1, 1, 1, 1))


def test_operator_norm_is_the_largest_singular_value_of_the_convolution():
    torch.manual_seed(0)
    layer = LipschitzConvolution(2, 3, (6, 5))
    torch.nn.init.normal_(layer.weight)
    for _ in range(300):
        norm = layer.norm()
    basis = torch.eye(60).reshape(60, 2, 6, 5)
    matrix = F.conv2d(basis, layer.weight, padding=1).flatten(1)
    assert norm.item() == pytest.approx(torch.linalg.matrix_norm(matrix, 2).item(), rel=1e-3)


def test_network_is_1_lipschitz_even_with_large_weights():
    torch.manual_seed(0)
    network = LipschitzNet(1, 8, 3, (8, 8))
    for layer in network.layers:
        torch.nn.init.normal_(layer.weight)
    one, other = _random(2, 1, 8, 8).split(1)
    for _ in range(100):
        network(one)
    for step in (1.0, 0.1, 0.01):
        distance = (network(one) - network(one + step * other)).norm()
        assert distance <= 1.01 * step * other.norm()


def test_early_stop_waits_for_the_smallest_variance():
    stop = EarlyStop(count=2, patience=2)
    outputs = [torch.full((1,), value) for value in (0.0, 4.0, 6.0, 7.0, 9.0, 12.0)]
    assert [stop(output) for output in outputs] == [False, False, False, False, False, True]
    assert stop.best == 7


def test_refined_image_has_the_coarse_band_and_does_not_depend_on_the_seed():
    refiner = DeepPrior(build(DeepPrior.Config, {"iterations": 6, "width": 8, "trust": 1.0, "variances": 2}))
    coarse = _random(2, 3, 4, 4).clamp(-0.5, 0.5)
    runs = [RunContext("cpu", torch.Generator().manual_seed(seed), None) for seed in (0, 1)]
    first = refiner.refine(coarse, 16, runs[0])
    with torch.inference_mode():  # in which methods sample
        again = refiner.refine(coarse, 16, runs[1])
    assert torch.equal(first, again)
    assert (block_means(first, 4) - coarse).abs().mean() < 0.02


def test_a_scale_that_is_not_whole_raises_an_error():
    with pytest.raises(ConfigError, match="needs an integer scale, not 3 -> 8 pixels"):
        DeepPrior(build(DeepPrior.Config, {})).refine(torch.zeros(1, 1, 3, 3), 8, None)


def test_even_patches_raise_an_error():
    with pytest.raises(ConfigError, match="patch = 4 must be odd"):
        build(DeepPrior.Config, {"patch": 4})
