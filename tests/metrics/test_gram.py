"""Distances of Gram matrices against a naive loop over torchvision's VGG-19."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from made_weights import make_vgg
from torch import Tensor, nn
from torch.nn import functional as F

from dpbench.core.errors import MissingScore
from dpbench.evaluation.evaluator import evaluate
from dpbench.metrics import gram
from dpbench.metrics.gram import GramDistance
from dpbench.metrics.statistics import styles
from dpbench.models.pretrained import finding
from dpbench.models.pretrained.vgg import STYLE, StyleLayers, load_style_layers


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_vgg(tmp_path_factory.mktemp("vgg"))


@pytest.fixture
def vgg(publish, made: Path) -> StyleLayers:
    publish("vgg", made)
    return load_style_layers()


def naive(network: StyleLayers, x: Tensor, y: Tensor) -> float:
    """The formula of the docstring, one image, layer and channel pair at a time."""
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])

    def grams(images: Tensor) -> list[np.ndarray]:
        sums: list[np.ndarray | float] = [0.0] * len(STYLE)
        for image in images:
            image = image.expand(3, -1, -1).float()[None]
            if image.shape[-1] < 64:
                image = F.interpolate(image, (64, 64), mode="bicubic", antialias=True).clamp(0, 255)
            activations = (image / 255 - mean[:, None, None]) / deviation[:, None, None]
            layer = 0
            for each in network.features:
                activations = each(activations)
                if isinstance(each, nn.ReLU):
                    _, channels, h, w = activations.shape
                    if layer < len(STYLE) and channels == (64, 128, 256, 512, 512)[layer] and h == 64 >> layer:
                        rows = activations[0].reshape(channels, h * w).double().numpy()
                        sums[layer] += np.einsum("ip,jp->ij", rows, rows) / (h * w)
                        layer += 1
        return [total / len(images) for total in sums]

    return sum(((a - b) ** 2).sum() / (5 * 4 * len(a) ** 2) for a, b in zip(grams(x), grams(y), strict=True))


def test_the_layers_are_the_first_of_each_size(vgg: StyleLayers) -> None:
    assert [list(a.shape) for a in vgg(torch.zeros(1, 3, 64, 64))] == [
        [1, 64, 64, 64],
        [1, 128, 32, 32],
        [1, 256, 16, 16],
        [1, 512, 8, 8],
        [1, 512, 4, 4],
    ]
    whole = torchvision.models.vgg19(weights=None).features
    for here, there in zip(vgg.features, whole, strict=False):
        assert type(here) is type(there)
        assert [p.shape for p in here.parameters()] == [p.shape for p in there.parameters()]
    assert all(isinstance(vgg.features[position], nn.ReLU) for position in STYLE.values())


@pytest.mark.parametrize(("size", "channels"), [(28, 1), (32, 3), (64, 3)])
def test_the_distance_is_that_of_a_naive_loop(vgg, evaluation, noise, monkeypatch, size: int, channels: int) -> None:
    monkeypatch.setattr(gram, "PARTS", 5)
    monkeypatch.setattr(styles, "AT_ONCE", 2 * 64**2)
    x, y = noise(7, channels, size, seed=1), 255 - noise(6, channels, size, seed=2)
    with torch.no_grad():
        expected = naive(vgg, x, y)
    value, half = GramDistance().compute(evaluation(x, y))["gram"]
    assert value == pytest.approx(expected, rel=1e-4)
    assert half > 0


def test_a_set_is_at_no_distance_from_itself_in_another_order(vgg, evaluation, noise) -> None:
    images = noise(6, 3)
    same = GramDistance().compute(evaluation(images, images.flip(0)))["gram"].value
    other = GramDistance().compute(evaluation(images, 255 - images))["gram"].value
    assert 0 <= same < 1e-9 * other


def test_the_reference_is_passed_through_the_network_once(vgg, evaluation, make_images, noise) -> None:
    reference = make_images(noise(3, 3, seed=1))
    shared = evaluation(make_images(noise(3, 3, seed=2)), reference)
    for _ in range(2):
        GramDistance().compute(shared)
    assert sorted(reference.asked) == [0, 1, 2]


def test_large_images_go_through_the_network_in_smaller_batches(make_images, run, monkeypatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(
        styles, "style", lambda network, images, indices, smallest, run: (seen.append(len(indices)), torch.ones(1))[1]
    )
    for size in (32, 128, 1024):
        images = make_images(torch.zeros(100, 1, size, size, dtype=torch.uint8))
        styles.mean_styles(None, images, [np.arange(100)], 64, run, "")
    assert sorted(set(seen), reverse=True) == [64, 36, 16, 4, 1]  # 64 + 36, 6 of 16 + 4, 100 of 1


def test_without_weights_the_cell_says_how_to_get_them(make_images, noise, run) -> None:
    scores = evaluate(["gram"], make_images(noise(3, 3)), make_images(noise(3, 3, seed=1)), run)
    assert scores.values == {"gram": None}
    assert scores.missing == {"gram": "weights 'vgg' are not installed; run `dpbench weights get vgg`"}
    with pytest.raises(MissingScore):
        load_style_layers()


def test_damaged_weights_are_a_reason_and_spare_other_scores(make_images, noise, run, monkeypatch, tmp_path) -> None:
    (tmp_path / "vgg").write_bytes(b"half of it")
    monkeypatch.setattr(finding, "places", lambda file: [tmp_path / "vgg"])
    scores = evaluate(["gram", "fwd"], make_images(noise(90, 3)), make_images(noise(90, 3, seed=1)), run)
    assert scores.missing["gram"].endswith("delete it and run `dpbench weights get vgg`")
    assert scores.values["fwd"] > 0
