from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import pywt
import torch

from dpbench.models.haar import coarse, dwt2, idwt2, stationary, wavedec2, wavelet_packets, waverec2

IMAGES = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_wavedec2_equals_pywavelets(levels: int) -> None:
    approximation, *details = wavedec2(IMAGES, levels)
    expected, *expected_details = pywt.wavedec2(IMAGES.numpy(), "haar", level=levels, axes=(-2, -1))
    np.testing.assert_allclose(approximation, expected, atol=1e-12)
    for ours, theirs in zip(details, expected_details, strict=True):
        np.testing.assert_allclose(ours, np.stack(theirs, axis=1), atol=1e-12)


@pytest.mark.parametrize("levels", [1, 2])
def test_wavelet_packets_equal_pywavelets_in_natural_order(levels: int) -> None:
    packets = wavelet_packets(IMAGES, levels)
    assert packets.shape == (2, 4**levels, 3, 16 >> levels, 24 >> levels)
    for b, c in product(range(2), range(3)):
        tree = pywt.WaveletPacket2D(IMAGES[b, c].numpy(), "haar", maxlevel=levels)
        for k, path in enumerate(map("".join, product("ahvd", repeat=levels))):
            np.testing.assert_allclose(packets[b, k, c], tree[path].data, atol=1e-12)


@pytest.mark.parametrize("levels", [0, 1, 2, 3])
def test_waverec2_inverts_wavedec2(levels: int) -> None:
    torch.testing.assert_close(waverec2(wavedec2(IMAGES, levels)), IMAGES)


def test_idwt2_inverts_dwt2() -> None:
    torch.testing.assert_close(idwt2(dwt2(IMAGES)), IMAGES)


def test_energy_is_preserved() -> None:
    for coefficients in (wavedec2(IMAGES, 3), [wavelet_packets(IMAGES, 3)]):
        torch.testing.assert_close(sum(part.square().sum() for part in coefficients), IMAGES.square().sum())


def test_coarse_is_the_block_mean() -> None:
    torch.testing.assert_close(coarse(IMAGES, 2), torch.nn.functional.avg_pool2d(IMAGES, 4))


def test_dtype_is_kept() -> None:
    assert wavelet_packets(IMAGES.float(), 2).dtype == torch.float32


def test_odd_sizes_raise_an_error() -> None:
    with pytest.raises(ValueError, match="not 15x24"):
        dwt2(IMAGES[..., :15, :])


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_stationary_equals_pywavelets_away_from_the_border(levels: int) -> None:
    banks = stationary(IMAGES, levels)
    expected = pywt.swt2(IMAGES.numpy(), "haar", level=levels, axes=(-2, -1))[::-1]
    for j, (bank, (approximation, details)) in enumerate(zip(banks, expected, strict=True), start=1):
        h, w = 16 - 2**j + 1, 24 - 2**j + 1
        assert bank.shape == (2, 3, 4, h, w)
        theirs = np.stack([approximation, *details], axis=2)[..., :h, :w]  # the rest wraps around
        np.testing.assert_allclose(bank, theirs, atol=1e-12)


def test_subsampled_stationary_equals_dwt2() -> None:
    torch.testing.assert_close(stationary(IMAGES, 1)[0][..., ::2, ::2].transpose(1, 2), dwt2(IMAGES))
    with pytest.raises(ValueError, match="5 Haar levels do not fit into 16x24"):
        stationary(IMAGES, 5)
