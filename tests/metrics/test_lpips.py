"""LPIPS between synthetic images, against the lpips package."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from lpips import LPIPS
from made_weights import make_alexnet

from dpbench.core.errors import MissingScore
from dpbench.evaluation.evaluator import evaluate
from dpbench.metrics.lpips import LPIPSDiversity
from dpbench.metrics.statistics.perceptual import draw_pairs, load_lpips, lpips_distances


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_alexnet(tmp_path_factory.mktemp("alexnet"))


@pytest.fixture
def published(publish, made: Path) -> None:
    publish("lpips", made)


@pytest.fixture
def theirs(made: Path, monkeypatch: pytest.MonkeyPatch) -> LPIPS:
    """The package with pretrained features, as it loads them itself: it finds ours in place of torchvision's."""
    network = torchvision.models.alexnet(weights=None)
    state = torch.load(made / "alexnet-owt-7be5be79.pth")
    network.features.load_state_dict(
        {name.partition(".")[2]: value for name, value in state.items() if name.startswith("features.")}
    )
    monkeypatch.setattr("torchvision.models.alexnet", lambda **_: network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return LPIPS(net="alex", verbose=False).eval()


def test_distances_are_those_of_the_package(published, theirs, make_images, noise) -> None:
    images = noise(4, 3, 64)
    pairs = np.array([[0, 1], [2, 3], [3, 0]])
    ours = lpips_distances(load_lpips("cpu"), make_images(images), pairs, 64, "cpu")
    x = images.float() / 127.5 - 1
    with torch.no_grad():
        expected = theirs(x[pairs[:, 0]], x[pairs[:, 1]]).flatten().numpy()
    assert expected.min() > 1e-3
    np.testing.assert_allclose(ours, expected, rtol=1e-4)


@pytest.mark.parametrize(("size", "channels"), [(28, 1), (32, 3), (64, 3)])
def test_small_and_grey_images_have_a_diversity(published, evaluation, noise, size: int, channels: int) -> None:
    value, half = LPIPSDiversity().compute(evaluation(noise(20, channels, size)))["lpips"]
    assert value > 0
    assert 0 < half < value


def test_images_that_all_look_alike_have_none(published, evaluation, noise, make_images) -> None:
    alike = noise(1, 3).repeat(8, 1, 1, 1)
    assert LPIPSDiversity().compute(evaluation(make_images(alike)))["lpips"].value == 0


def test_pairs_are_of_one_class_and_share_no_image(make_images, noise) -> None:
    labels = torch.tensor([0, 1, 2, 0, 1, 0, 0, 1])  # one image of class 2
    images = make_images(noise(8, 1), labels, 3)
    pairs = draw_pairs(images, 100, torch.Generator().manual_seed(0))
    assert len(pairs) == 3
    assert all(labels[i] == labels[j] for i, j in pairs)
    assert len(set(pairs.flatten().tolist())) == 6
    assert 2 not in pairs


def test_pairs_are_at_most_as_many_as_wanted_and_of_all_classes(make_images, noise) -> None:
    labels = torch.arange(120) % 4
    pairs = draw_pairs(make_images(noise(120, 1), labels, 4), 8, torch.Generator().manual_seed(0))
    assert torch.bincount(labels[pairs].flatten()).tolist() == [4] * 4


def test_without_two_images_of_a_class_there_is_no_score(published, evaluation, make_images, noise) -> None:
    images = make_images(noise(2, 1), torch.tensor([0, 1]), 2)
    with pytest.raises(MissingScore, match="no class has two synthetic images"):
        LPIPSDiversity().compute(evaluation(images))


def test_without_weights_the_cell_says_how_to_get_them(make_images, noise, run) -> None:
    scores = evaluate(["lpips"], make_images(noise(4, 3)), make_images(noise(4, 3, seed=1)), run)
    assert scores.missing == {"lpips": "weights 'lpips' are not installed; run `dpbench weights get lpips`"}
    assert scores.values == {"lpips": None}
