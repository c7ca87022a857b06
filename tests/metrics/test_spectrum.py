from __future__ import annotations

import numpy as np
import pytest
import torch

from dpbench.core.errors import MissingScore
from dpbench.evaluation.evaluator import evaluate
from dpbench.metrics.extractors.power_spectrum import PowerSpectrum, rings


def white(n: int, sigma: float, channels: int = 1, size: int = 32, seed: int = 0) -> torch.Tensor:
    noise = torch.randn(n, channels, size, size, generator=torch.Generator().manual_seed(seed))
    return (127.5 + sigma * noise).round().clamp(0, 255).to(torch.uint8)


@pytest.mark.parametrize(("channels", "size"), [(1, 32), (3, 28), (1, 31)])
def test_white_noise_has_its_variance_at_every_radius(evaluation, channels: int, size: int) -> None:
    x = white(800, 20, channels, size)
    power = 10 ** (evaluation(x).extractor("spectrum")(x).double() / 10)
    assert power.shape == (800, round(2**0.5 * (size // 2)))
    expected = torch.full((power.shape[1] - 2,), (20 / 255) ** 2, dtype=torch.float64)
    # without radius 1, which the window mixes with the mean, and the corner, which is a single frequency
    torch.testing.assert_close(power.mean(0)[1:-1], expected, rtol=0.06, atol=0)


@pytest.mark.parametrize("size", [28, 31])
def test_power_adds_up_to_the_windowed_variance(evaluation, noise, size: int) -> None:
    x = noise(5, 3, 32)[..., :size, :size]
    power = 10 ** (evaluation(x).extractor("spectrum")(x).double() / 10) - 1 / (12 * 255**2)
    members = (rings(size) > 0).sum(0)
    window = torch.hann_window(size, dtype=torch.float64)
    window = window[:, None] * window
    y = x.double() / 255
    y = y - (window * y).sum((-2, -1), keepdim=True) / window.sum()
    energy = (window * y).square().sum((-2, -1)).mean(1) * size**2 / window.square().sum()
    torch.testing.assert_close((power * members).sum(1), energy, rtol=1e-4, atol=0)
    assert members.sum() == size**2 - 1


def test_a_wave_has_its_power_at_its_frequency(evaluation) -> None:
    place = torch.arange(64, dtype=torch.float64)
    wave = 127.5 + 100 * torch.cos(2 * torch.pi * 12 * place / 64)
    x = wave.round().to(torch.uint8).expand(1, 1, 64, 64)
    spectrum = evaluation(x).extractor("spectrum")(x)[0]
    assert spectrum.argmax() == 12 - 1
    assert spectrum[11] - spectrum[20:].max() > 30  # decibels: the window keeps power where it belongs


def test_an_edge_does_not_wrap_around(evaluation) -> None:
    ramp = torch.linspace(0, 255, 64).to(torch.uint8).expand(1, 1, 64, 64)
    spectrum = evaluation(ramp).extractor("spectrum")(ramp)[0]
    assert spectrum[2] - spectrum[31] > 40  # without a window 1/f² of the step: 20 dB


def test_doubled_contrast_is_six_decibels(make_images, run) -> None:
    sets = make_images(white(400, 40, seed=0)), make_images(white(400, 20, seed=1))
    scores = evaluate(["spectrum"], *sets, run)
    assert scores.values["spectrum"] == pytest.approx(20 * np.log10(2), abs=0.15)
    assert 0 < scores.ci95["spectrum"] < 0.2


def test_all_reference_images_count(make_images, run) -> None:
    """A quarter of 400 has the contrast of the 100 synthetic images, and three quarters half of it."""
    reference = torch.cat([white(100, 40, seed=1), white(300, 20, seed=2)])
    scores = evaluate(["spectrum"], make_images(white(100, 40, seed=0)), make_images(reference), run)
    assert scores.values["spectrum"] == pytest.approx(0.75 * 20 * np.log10(2), abs=0.2)


def test_two_draws_of_the_same_are_close_together(make_images, noise, run) -> None:
    scores = evaluate(["spectrum"], make_images(noise(300)), make_images(noise(300, seed=1)), run)
    assert scores.values["spectrum"] < 0.4


def test_blur_lowers_the_high_frequencies(evaluation, make_images, noise, run) -> None:
    x, y = noise(200), noise(200, seed=1)
    blurred = torch.nn.functional.avg_pool2d(x.float(), 3, 1, 1, count_include_pad=False).round().to(torch.uint8)
    extractor = evaluation(x).extractor("spectrum")
    change = (extractor(blurred) - extractor(x)).mean(0)
    assert change[:3].abs().max() < 1.5
    assert change[8:16].max() < -5
    before, after = (
        evaluate(["spectrum"], make_images(i), make_images(y), run).values["spectrum"] for i in (x, blurred)
    )
    assert after > 20 * before


def test_flat_images_have_the_spectrum_of_rounding_and_tiny_ones_have_none(evaluation) -> None:
    x = torch.full((2, 1, 16, 16), 77, dtype=torch.uint8)
    spectrum = evaluation(x).extractor("spectrum")(x)
    torch.testing.assert_close(spectrum, torch.full_like(spectrum, -10 * np.log10(12 * 255**2)), rtol=1e-4, atol=0)
    with pytest.raises(MissingScore, match="at least 8"):
        PowerSpectrum(evaluation(x[..., :7, :7]))
