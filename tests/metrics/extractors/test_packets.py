from __future__ import annotations

import numpy as np
import pytest
import torch

from dpbench.core.errors import MissingScore, UnknownName
from dpbench.core.registries import EXTRACTORS
from dpbench.evaluation import extraction
from dpbench.evaluation.extraction import extract
from dpbench.metrics.extractors.packets import WaveletPackets, packet_level


@pytest.mark.parametrize(
    ("resolution", "level"),
    [(28, 2), (32, 2), (64, 3), (128, 4), (256, 4), (512, 5), (1024, 6), (100, 2), (30, 1), (16, 1), (12, 0), (31, 0)],
)
def test_the_packet_level_follows_the_resolution(resolution: int, level: int) -> None:
    assert packet_level(resolution) == level


def test_wavelet_packets_have_a_row_per_packet_with_all_channels(evaluation, noise) -> None:
    extractor = evaluation(noise(2, 3)).extractor("wavelet-packet")
    coefficients = extractor(torch.full((2, 3, 32, 32), 255, dtype=torch.uint8))
    assert coefficients.shape == (2, 16, 3 * 8 * 8)
    torch.testing.assert_close(coefficients[:, 0], torch.full((2, 192), 4.0))  # white is 1, times 2 per level
    assert coefficients[:, 1:].abs().max() < 1e-6


@pytest.mark.parametrize(
    ("resolution", "needed"),
    [
        (12, "divisible by 2 and at least 14"),
        (31, "divisible by 2"),
        (70, "divisible by 4"),
        (180, "divisible by 8"),
        (300, "divisible by 16"),
        (1000, "divisible by 32"),
    ],
)
def test_resolutions_without_small_packets_say_what_would_do(evaluation, resolution: int, needed: str) -> None:
    with pytest.raises(MissingScore, match=f"a resolution {needed}, not {resolution}$"):
        WaveletPackets(evaluation(torch.zeros(2, 1, resolution, resolution, dtype=torch.uint8)))


def test_every_multiple_of_32_has_small_packets() -> None:
    for resolution in range(32, 1025, 32):
        assert 7 <= resolution >> packet_level(resolution) <= 31


def test_an_unknown_extractor_offers_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="wavelet-packet"):
        EXTRACTORS.get("wavelet-packets")


def test_batches_do_not_change_features(monkeypatch, evaluation, make_images, noise, run) -> None:
    images, extractor = make_images(noise(10)), WaveletPackets(evaluation(noise(10)))
    (whole,) = extract(extractor, images, run, "")
    monkeypatch.setattr(WaveletPackets, "batch", 3)
    parts = list(extract(extractor, images, run, ""))
    assert len(parts) == 4
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-5, atol=1e-6)
    assert whole.shape == (10, 16, 64)
    assert whole.dtype == np.float32


def test_batches_of_large_images_are_small(monkeypatch, evaluation, make_images, noise, run) -> None:
    images = noise(5)
    monkeypatch.setattr(extraction, "BATCH_VALUES", 2 * images[0].numel() + 1)
    sizes = [len(part) for part in extract(WaveletPackets(evaluation(images)), make_images(images), run, "")]
    assert sizes == [2, 2, 1]
