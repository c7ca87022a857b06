from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import pywt
import torch
from scipy.linalg import sqrtm

from dpbench.evaluation.evaluator import evaluate
from dpbench.metrics.fwd import FrechetWaveletDistance


def fwd_worked_out(x: torch.Tensor, y: torch.Tensor, level: int) -> float:
    """The definition, packet by packet, with PyWavelets and SciPy: uint8 [n, c, h, w]."""

    def packets(images: torch.Tensor, path: str) -> np.ndarray:
        return np.stack(
            [
                np.concatenate(
                    [pywt.WaveletPacket2D(channel, "haar", maxlevel=level)[path].data.ravel() for channel in image]
                )
                for image in images.double().numpy() / 255
            ]
        )

    distances = []
    for path in map("".join, product("ahvd", repeat=level)):
        p, q = packets(x, path), packets(y, path)
        s, t = np.cov(p, rowvar=False), np.cov(q, rowvar=False)
        distances.append(((p.mean(0) - q.mean(0)) ** 2).sum() + np.trace(s + t - 2 * sqrtm(s @ t).real))
    return float(np.mean(distances))


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 14), (1, 32)])
def test_fwd_is_the_mean_of_the_packets_distances(make_images, noise, run, channels: int, size: int) -> None:
    n = 200  # more than a packet's 7 x 7 x channels coefficients
    x = noise(n, channels, size + size % 4, 0)[..., :size, :size]
    y = 255 - x.flip(0) // 2
    y = torch.maximum(y, noise(n, channels, size + size % 4, 1)[..., :size, :size])
    scores = evaluate(["fwd"], make_images(x), make_images(y), run)
    level = {28: 2, 14: 1, 32: 2}[size]
    assert scores.values["fwd"] == pytest.approx(fwd_worked_out(x, y, level), rel=1e-5)
    assert scores.protocol["fwd"]["extractors"] == f"haar packets level {level}, [0, 1]"


def test_fwd_of_grey_images_is_a_third_of_that_with_the_channel_repeated(make_images, noise, run) -> None:
    x, y = noise(300), 255 - noise(300, seed=1)
    grey = evaluate(["fwd"], make_images(x), make_images(y), run).values["fwd"]
    tripled = evaluate(["fwd"], *(make_images(images.expand(-1, 3, -1, -1)) for images in (x, y)), run).values["fwd"]
    assert tripled == pytest.approx(3 * grey, rel=1e-5)


def test_fwd_is_zero_for_the_same_images_and_grows_with_blur(evaluation, noise) -> None:
    x = noise(300)
    blurred = torch.nn.functional.avg_pool2d(x.float(), 3, 1, 1).to(torch.uint8)
    same, blur = (FrechetWaveletDistance().compute(evaluation(i, x))["fwd"].value for i in (x, blurred))
    assert same == pytest.approx(0, abs=1e-6)
    assert blur > 0.1


def test_a_resolution_that_does_not_halve_has_no_fwd(make_images, noise, run) -> None:
    x, y = (noise(10, seed=k)[..., :31, :31] for k in (0, 1))
    scores = evaluate(["fwd"], make_images(x), make_images(y), run)
    assert scores.values == {"fwd": None, "fwd_inf": None}
    assert "31" in scores.missing["fwd"]
