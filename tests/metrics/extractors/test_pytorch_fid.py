"""pytorch-fid's Inception against torch-fidelity's: one set of random weights in the file that both load."""

from __future__ import annotations

from pathlib import Path

import cleanfid.inception_pytorch
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dpbench.core.errors import DataError, MissingScore
from dpbench.metrics.extractors.pytorch_fid import FILE
from dpbench.models.pretrained.finding import fingerprint
from dpbench.models.pretrained.published import WEIGHTS


@pytest.fixture
def extractor(publish, theirs, made: Path, evaluation, noise):
    publish("pytorch-fid", made)
    return evaluation(noise(2, 3)).extractor("pytorch-fid")


def relative(x: Tensor, y: Tensor) -> float:
    return float((x - y).norm() / y.norm())


def enlarged(images: np.ndarray, size: int) -> np.ndarray:
    """Bilinear interpolation between pixels' centres, no extrapolation: [b, c, h, h] -> [b, c, size, size]."""
    h = images.shape[-1]
    centres = ((np.arange(size) + 0.5) * h / size - 0.5).clip(0, h - 1)
    weights = np.maximum(0, 1 - np.abs(centres[:, None] - np.arange(h)))  # [size, h]
    return weights @ images @ weights.T


@pytest.mark.parametrize(("size", "channels"), [(28, 1), (32, 3)])
def test_features_and_logits_are_those_of_the_network_on_bilinear_pixels(
    extractor, theirs, noise, size: int, channels: int
) -> None:
    images = noise(2, channels, size)
    layers = nn.Sequential(*list(theirs.children())[:-1], nn.Flatten())
    x = enlarged(images.expand(-1, 3, -1, -1).double().numpy() / 255, 299)
    with torch.no_grad():
        expected = layers(torch.from_numpy(2 * x - 1).float())
        logits = theirs.fc(expected)
    ours = extractor(images)
    assert ours.shape == (2, 2048)
    assert relative(ours, expected) < 1e-4
    assert relative(extractor.logits(ours), logits) < 1e-4
    assert relative(ours[:1], ours[1:]) > 0.01  # the comparison would see a mistake


def test_features_are_not_those_of_inception(extractor, publish, made: Path, evaluation, noise) -> None:
    publish("inception", made)
    images = noise(2, 3)
    assert relative(extractor(images), evaluation(images).extractor("inception")(images)) > 0.01


def test_the_published_file_is_the_one_that_pytorch_fid_downloads() -> None:
    (file,) = WEIGHTS["pytorch-fid"].files
    assert file.url == cleanfid.inception_pytorch.FID_WEIGHTS_URL
    assert file.short == FILE
    assert file.sha256[:8] in FILE


def test_images_in_0_to_1_are_refused(extractor) -> None:
    with pytest.raises(DataError, match=r"not torch.float32"):
        extractor(torch.rand(2, 3, 32, 32))


def test_the_row_says_which_weights_and_what_size(extractor) -> None:
    assert extractor.description == f"pytorch-fid inception {fingerprint('pytorch-fid')}, 299 bilinear"


def test_without_weights_the_reason_names_the_command(evaluation, noise) -> None:
    with pytest.raises(MissingScore, match="weights 'pytorch-fid' are not installed; run `dpbench weights get pytorch"):
        evaluation(noise(2, 3)).extractor("pytorch-fid")
