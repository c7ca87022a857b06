from __future__ import annotations

from itertools import combinations, product
from math import pi, sqrt

import numpy as np
import pytest
import torch

from dpbench.core.errors import MissingScore
from dpbench.evaluation.evaluator import evaluate
from dpbench.metrics.extractors.texture_statistics import TextureStatistics, marginal_count, texture_level
from dpbench.models.haar import stationary

COLUMNS = ("texture", "texture_marginal", "texture_cross")


def white(n: int, channels: int = 1, size: int = 64, seed: int = 0) -> torch.Tensor:
    """Gaussian noise, standard deviation 20 grey levels."""
    noise = torch.randn(n, channels, size, size, generator=torch.Generator().manual_seed(seed))
    return (127.5 + 20 * noise).round().clamp(0, 255).to(torch.uint8)


def split(statistics: torch.Tensor, spec) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean statistics -> marginals [bands, 3] (of one channel), and the cross-band ones."""
    mean, count = statistics.mean(0), marginal_count(spec)
    return mean[:count].reshape(-1, 3), mean[count:]


@pytest.mark.parametrize(("size", "level"), [(5, 0), (6, 1), (14, 2), (28, 3), (32, 3), (64, 4), (512, 4)])
def test_the_largest_filter_covers_a_third_of_the_image_at_most(size: int, level: int) -> None:
    assert texture_level(size) == level


@pytest.mark.parametrize(("channels", "cross"), [(1, 3 * 4 + 9 * 3), (3, 3 * (3 * 4 + 9 * 3) + 3 * 13)])
def test_statistics_of_white_noise_are_known(evaluation, channels: int, cross: int) -> None:
    x = white(40, channels)
    shared = evaluation(x)
    marginal, correlations = split(shared.extractor("texture")(x), shared.spec)
    assert (len(marginal), len(correlations)) == (13 * channels, cross)
    variance = marginal[: 3 * channels, 0].exp()  # finest level: the transform is orthonormal
    torch.testing.assert_close(variance, torch.full_like(variance, (20 / 255) ** 2), rtol=0.02, atol=0)
    assert marginal[:, 1].abs().max() < 0.05
    torch.testing.assert_close(marginal[: 6 * channels, 2], torch.full((6 * channels,), 2 / pi), rtol=0.02, atol=0)
    within = correlations[: 3 * 4 * channels]
    assert within.abs().max() < 0.05  # orthogonal filters see independent noise


def test_colour_channels_correlate_as_they_are_mixed(evaluation) -> None:
    grey, own = white(30, 1).float(), white(30, 3, seed=1).float()
    x = ((grey + own) / 2).round().to(torch.uint8)  # half of each channel's variance is shared
    statistics = evaluation(x).extractor("texture")(x).mean(0)
    assert statistics[-39:-3].mean() == pytest.approx(0.5, abs=0.02)


def test_magnitudes_correlate_where_contrast_comes_and_goes(evaluation) -> None:
    x = white(20)
    x[..., :32] = 128
    shared = evaluation(x)
    (_, _), (_, cross) = (split(shared.extractor("texture")(y), shared.spec) for y in (white(20), x))
    assert cross.min() > 0.3
    assert cross[:3].min() > 0.4


def test_cross_statistics_are_correlation_coefficients_over_places(evaluation) -> None:
    x = white(1, size=32)
    x[..., 3:-3, 3:-3] = 128 + (x[..., 3:-3, 3:-3].float() - 128).div(4).to(torch.uint8)  # contrast at the edge
    (*_, statistics), bands = evaluation(x).extractor("texture")(x), stationary(x.double() / 255, 3)
    magnitudes = [bank[0, 0, 1:].abs() for bank in bands]  # [3, h, w] of each level

    def correlations(a, b):
        return np.corrcoef(a.flatten(1).numpy(), b.flatten(1).numpy())[:3, 3:]

    pairs = np.triu_indices(3, 1)
    within = [correlations(m, m)[pairs] for m in magnitudes]
    fine = [magnitudes[0][:, 1:-1, 1:-1], magnitudes[1][:, 2:-2, 2:-2]]  # filters' middles on their parents' middles
    between = [correlations(m, above).ravel() for m, above in zip(fine, magnitudes[1:], strict=True)]
    np.testing.assert_allclose(statistics[30:], np.concatenate(within + between), atol=0.02)


def test_statistics_are_those_of_plain_sums(evaluation, noise) -> None:
    """By loops over images, channels and sub-bands, in float64, from the formulas in the docstring."""
    x = noise(3, 3, 16)
    x[..., 5:] //= 4
    flat, banks = 1 / 255**2, stationary(x.double() / 255, 2)
    levels = [(bank[:, :, 1:] - bank[:, :, 1:].mean((-2, -1), keepdim=True)).numpy() for bank in banks]
    low = (banks[-1][:, :, :1] - banks[-1][:, :, :1].mean((-2, -1), keepdim=True)).numpy()

    def correlation(a, b):
        a, b = a - a.mean(), b - b.mean()
        return (a * b).mean() / np.sqrt(((a * a).mean() + flat) * ((b * b).mean() + flat))

    def statistics(image):
        bands = [z[image] for z in (*levels, low)]  # [c, k, h, w] each
        sizes = [np.abs(z[image]) for z in levels]
        for z in (channel for band in bands for channel in band.reshape(-1, *band.shape[-2:])):
            v = (z * z).mean() + flat
            yield from (np.log(v), (z * abs(z)).mean() / v, abs(z).mean() ** 2 / v)
        for m in sizes:
            yield from (correlation(m[c, i], m[c, j]) for c in range(3) for i, j in combinations(range(3), 2))
        for c, i, j in product(range(3), repeat=3):
            yield correlation(sizes[0][c, i, 1:-1, 1:-1], sizes[1][c, j])
        for band in bands:
            pairs = product(range(band.shape[1]), combinations(range(3), 2))
            yield from (correlation(band[c, k], band[d, k]) for k, (c, d) in pairs)

    expected = np.array([list(statistics(image)) for image in range(3)])
    np.testing.assert_allclose(evaluation(x).extractor("texture")(x), expected, atol=1e-5)


def test_statistics_follow_what_is_there_and_not_where(evaluation, make_images, noise) -> None:
    big = noise(8, 1, 64)
    extractor = evaluation(noise(2, 1, 32)).extractor("texture")
    spot = torch.zeros(1, 1, 32, 32, dtype=torch.uint8)
    spot[..., 12:16, 12:17] = 200
    moved = torch.roll(spot, (3, -2), (2, 3))
    torch.testing.assert_close(extractor(moved), extractor(spot), rtol=1e-4, atol=1e-3)
    here, there = extractor(big[..., :32, :32]), extractor(big[..., 16:48, 16:48])
    assert (here - there).abs().mean() < 0.2 * here.abs().mean()


def test_flat_and_extreme_images_have_finite_statistics(evaluation) -> None:
    x = torch.zeros(3, 3, 28, 28, dtype=torch.uint8)
    x[1] = 255
    x[2, :, 0, 0] = 255
    assert torch.isfinite(evaluation(x).extractor("texture")(x)).all()
    with pytest.raises(MissingScore, match="at least 6"):
        TextureStatistics(evaluation(x[..., :5, :5]))


def test_real_halves_differ_by_chance_alone(make_images, noise, run) -> None:
    scores = evaluate(["texture"], make_images(noise(300)), make_images(noise(600, seed=1)), run)
    for column in COLUMNS:
        assert 0.3 < scores.values[column] / sqrt(1 / 300 + 1 / 600) < 1.8


def test_the_value_is_the_mean_deviation_in_spreads_of_real_images(make_images, noise, run, evaluation) -> None:
    x, y = noise(100), noise(150, seed=1) // 2
    values = evaluate(["texture"], make_images(x), make_images(y), run).values
    extractor = evaluation(x).extractor("texture")
    ours, theirs = (extractor(images).double().numpy() for images in (x, y))
    z = (ours.mean(0) - theirs.mean(0)) / np.maximum(theirs.std(0, ddof=1), 0.01)
    first, second = np.sqrt((z[:30] ** 2).mean()), np.sqrt((z[30:] ** 2).mean())
    expected = [np.sqrt((first**2 + second**2) / 2), first, second]
    np.testing.assert_allclose([values[column] for column in COLUMNS], expected, rtol=1e-4)


def test_blur_shows_in_the_marginals_and_mixed_up_colours_only_in_the_cross_statistics(make_images, noise, run) -> None:
    x, other = noise(200, 3), noise(200, 3, seed=1)
    x, other = (torch.maximum(i, i[:, :1]) for i in (x, other))  # channels that belong together
    mixed = torch.stack([x[:, 0], x[:, 1].roll(1, 0), x[:, 2].roll(2, 0)], 1)
    blurred = torch.nn.functional.avg_pool2d(x.float(), 3, 1, 1).to(torch.uint8)
    reference = make_images(other)
    blur, mix = (evaluate(["texture"], make_images(i), reference, run) for i in (blurred, mixed))
    assert blur.values["texture_marginal"] > 1
    assert mix.values["texture_marginal"] < 0.15
    assert mix.values["texture_cross"] > 5 * mix.values["texture_marginal"]
    assert blur.ci95["texture"] < 0.1 * blur.values["texture"]
