"""DINOv2 against transformers' own model and processor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from cleanfid.resize import make_resizer
from made_weights import make_dinov2
from PIL.Image import Resampling
from torchvision.transforms.functional import normalize
from transformers import BitImageProcessor, Dinov2Model

from dpbench.core.errors import DataError, MissingScore
from dpbench.models.pretrained.finding import fingerprint

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dinov2(tmp_path_factory.mktemp("dinov2"))


@pytest.fixture
def dinov2(publish, made: Path, evaluation, noise):
    publish("dinov2", made)
    return evaluation(noise(2, 3)).extractor("dinov2")


def embedded(made: Path, pixels: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return Dinov2Model.from_pretrained(made).eval()(pixel_values=pixels).pooler_output


@pytest.mark.parametrize("size", [28, 32, 64])
def test_features_are_the_class_token_of_transformers_on_images_resized_by_pil(dinov2, made, noise, size) -> None:
    images = noise(2, 3, size)
    resize = make_resizer("PIL", False, "bicubic", (224, 224))  # what dgm-eval calls clean_resize
    pixels = torch.from_numpy(np.stack([resize(image.permute(1, 2, 0).numpy()) for image in images])).permute(
        0, 3, 1, 2
    )
    theirs = embedded(made, normalize(pixels / 255, MEAN, DEVIATION))
    ours = dinov2(images)
    assert ours.shape == (2, 32)
    assert (ours - theirs).norm() / theirs.norm() < 1e-5


def test_the_processor_of_transformers_prepares_the_same_images(dinov2, made: Path, noise) -> None:
    images = 60 + noise(2, 3, 64) // 2
    prepare = BitImageProcessor(
        size=224, crop_size=224, image_mean=MEAN, image_std=DEVIATION, resample=Resampling.BICUBIC
    )
    pixels = prepare(list(images.float()), return_tensors="pt", input_data_format="channels_first")["pixel_values"]
    theirs = embedded(made, pixels)
    assert (dinov2(images) - theirs).norm() / theirs.norm() < 1e-5


def test_grey_is_repeated_and_floats_are_refused(dinov2, noise) -> None:
    grey = noise(2, 1)
    torch.testing.assert_close(dinov2(grey), dinov2(grey.expand(-1, 3, -1, -1)))
    with pytest.raises(DataError, match=r"not torch.float32"):
        dinov2(torch.rand(2, 3, 32, 32))


def test_the_row_says_which_weights_and_what_size(dinov2) -> None:
    assert dinov2.description == f"dinov2-large {fingerprint('dinov2')}, 224 bicubic antialiased float clipped"


def test_without_weights_the_reason_names_the_command(evaluation, noise) -> None:
    with pytest.raises(MissingScore, match="weights 'dinov2' are not installed; run `dpbench weights get dinov2`"):
        evaluation(noise(2, 3)).extractor("dinov2")
