"""Inception against clean-fid and torch-fidelity: one set of random weights, in the format that each of them loads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from cleanfid import fid
from cleanfid.downloads_helper import inception_url
from cleanfid.inception_torchscript import InceptionV3W
from PIL import Image
from torch import Tensor

from dpbench.core.errors import DataError, MissingScore
from dpbench.core.registries import EXTRACTORS
from dpbench.metrics.extractors.inception import FILE
from dpbench.metrics.statistics.frechet import transport
from dpbench.metrics.statistics.gaussians import fit
from dpbench.models.pretrained.finding import fingerprint
from dpbench.models.pretrained.published import WEIGHTS

KEPT = 8  # features that distances are computed of: all 2048 would need as many images


@pytest.fixture
def inception(publish, theirs, made: Path, evaluation, noise):
    publish("inception", made)
    return evaluation(noise(2, 3)).extractor("inception")


def relative(x: Tensor, y: Tensor) -> float:
    return float((x - y).norm() / y.norm())


def textures(n: int, size: int, seed: int) -> Tensor:
    """Images that differ in contrast and scale: uint8 [n, 3, size, size]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, 4 + seed, 4 + seed, generator=generator)
    contrast = torch.rand(n, 3, 1, 1, generator=generator)
    images = torch.nn.functional.interpolate(coarse, size=(size, size), mode="nearest") * contrast
    return (255 * images).to(torch.uint8)


def write(images: Tensor, folder: Path) -> str:
    folder.mkdir()
    for number, image in enumerate(images):
        pixels = image.permute(1, 2, 0).squeeze(-1).numpy()
        Image.fromarray(pixels).save(folder / f"{number:04}.png")
    return str(folder)


@pytest.fixture
def clean_model(theirs, made: Path):
    """clean-fid's features of batches in [0, 255]."""
    network = InceptionV3W(str(made), download=False).eval()
    return lambda batch: network(batch)[:, :KEPT]


def clean_features(folder: str, model) -> np.ndarray:
    return fid.get_folder_features(
        folder, model, num_workers=0, batch_size=8, device="cpu", mode="clean", verbose=False
    )


@pytest.mark.parametrize(("size", "channels"), [(28, 1), (32, 3), (64, 3)])
def test_features_are_those_of_clean_fid(inception, clean_model, tmp_path: Path, size: int, channels: int) -> None:
    images = textures(2, size, seed=1)[:, :channels]
    theirs = clean_features(write(images, tmp_path / "images"), clean_model)
    ours = inception(images)
    assert ours.shape == (2, 2048)
    assert relative(ours[:, :KEPT], torch.from_numpy(theirs)) < 1e-4


def test_the_fid_is_that_of_clean_fid(publish, made: Path, evaluation, clean_model, tmp_path: Path) -> None:
    publish("inception", made)
    x, y = textures(10, 32, seed=1), textures(10, 32, seed=3)
    folders = [write(x, tmp_path / "x"), write(y, tmp_path / "y")]
    theirs = fid.compare_folders(*folders, clean_model, mode="clean", batch_size=8, device="cpu", verbose=False)
    features = evaluation(x, y).features("inception")
    ours = transport(*(fit(block[:, None, :KEPT] for block in part.blocks()) for part in features)).distance
    assert theirs > 1e-3
    np.testing.assert_allclose(float(ours[0]), theirs, rtol=1e-4)


def test_features_and_logits_are_those_of_torch_fidelity_where_nothing_is_resized(inception, theirs) -> None:
    images = textures(3, 299, seed=2)
    features, logits = theirs(images)
    ours = inception(images)
    assert relative(ours, features) < 1e-4
    assert relative(inception.logits(ours), logits) < 1e-4
    assert relative(ours[:1], ours[1:2]) > 0.01  # the comparison would see a mistake


def test_the_published_file_is_the_one_that_clean_fid_downloads() -> None:
    (file,) = WEIGHTS["inception"].files
    assert file.url == inception_url
    assert file.short == FILE


def test_images_in_0_to_1_are_refused(inception) -> None:
    with pytest.raises(DataError, match=r"not torch.float32"):
        inception(torch.rand(2, 3, 32, 32))


def test_the_row_says_which_weights_and_what_size(inception) -> None:
    assert (
        inception.description
        == f"inception-2015-12-05 {fingerprint('inception')}, 299 bicubic antialiased float clipped"
    )


def test_without_weights_the_reason_names_the_command(evaluation, noise) -> None:
    with pytest.raises(MissingScore, match="weights 'inception' are not installed; run `dpbench weights"):
        evaluation(noise(2, 3)).extractor("inception")


@pytest.mark.usefixtures("theirs")  # which writes the files
@pytest.mark.parametrize("content", [b"", b"half of it", b"the weights of another network"])
def test_a_file_of_that_name_with_other_content_is_an_error(publish, made, evaluation, noise, content: bytes) -> None:
    path = publish("inception", made) / WEIGHTS["inception"].files[0].name
    path.unlink()
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged or not the file of 'inception'.*delete it and run `dpbench weights"):
        evaluation(noise(2, 3)).extractor("inception")


@pytest.mark.parametrize("name", ["inception", "clip", "dinov2"])
def test_big_networks_take_fewer_images_at_once(name: str) -> None:
    assert EXTRACTORS.get(name).batch <= 64
