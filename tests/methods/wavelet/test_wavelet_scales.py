import pytest
import pywt
import torch

from dpbench.core.errors import ConfigError
from dpbench.methods.wavelet.scale_sizes import Scale, Scales
from dpbench.methods.wavelet.scale_tokens import join, split
from dpbench.models.haar import coarse


def test_sit_4_scales_at_256_pixels():
    scales = Scales(channels=3, resolution=256, levels=3, patch=2)
    assert scales.tokens == 256
    assert list(scales) == [Scale(32, 3, 2), Scale(32, 9, 2), Scale(64, 9, 4), Scale(128, 9, 8)]
    assert [scale.size for scale in scales] == [12, 36, 144, 576]


@pytest.mark.parametrize(("channels", "resolution", "levels", "patch"), [(1, 8, 1, 2), (3, 32, 2, 2), (3, 64, 3, 1)])
def test_join_of_a_prefix_is_the_image_at_that_scale(channels, resolution, levels, patch):
    scales = Scales(channels, resolution, levels, patch)
    images = torch.randn(3, channels, resolution, resolution)
    for count in range(1, len(scales) + 1):
        patches = split(scales, images, count)
        assert [tuple(p.shape) for p in patches] == [(3, scales.tokens, scale.size) for scale in scales][:count]
        expected = coarse(images, levels + 1 - count)
        assert expected.shape[-1] == scales.side(count)
        assert torch.allclose(join(scales, patches), expected, atol=1e-5)


def test_coefficients_equal_pywavelets():
    image = torch.randn(1, 1, 8, 8, dtype=torch.float64)
    approximation, details = pywt.wavedec2(image[0, 0].numpy(), "haar", level=1)
    scales = Scales(1, 8, 1, patch=4)  # one patch is the whole band
    first, second = split(scales, image, 2)
    assert torch.allclose(first.reshape(4, 4), torch.from_numpy(approximation))
    assert torch.allclose(second.reshape(3, 4, 4), torch.stack([torch.from_numpy(d) for d in details]))


def test_patches_at_one_position_cover_the_same_image_region():
    scales = Scales(1, 32, 2, 2)
    image = torch.zeros(1, 1, 32, 32)
    image[:, :, 8:16, 16:24] = torch.randn(8, 8)  # row 1, column 2 of a grid of 4 by 4
    for patches in split(scales, image, 3):
        assert patches[0].abs().sum(1).nonzero().flatten().tolist() == [6]


@pytest.mark.parametrize(
    ("resolution", "levels", "patch", "message"),
    [(28, 3, 1, "do not divide 28 pixels"), (24, 2, 4, "patches of 4 do not divide")],
)
def test_indivisible_sizes_raise_an_error(resolution, levels, patch, message):
    with pytest.raises(ConfigError, match=message):
        Scales(1, resolution, levels, patch)
