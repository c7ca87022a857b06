from __future__ import annotations

import pytest
import torch

from dpbench.core.specs import DatasetSpec
from dpbench.models.classifiers import CLASSIFIERS, build_classifier


def spec(channels: int = 1, resolution: int = 28) -> DatasetSpec:
    return DatasetSpec("toy", channels, resolution, 1, 1, tuple("abcde"), True)


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize(("channels", "resolution"), [(1, 28), (3, 28), (1, 32), (3, 32), (3, 48), (3, 64), (1, 128)])
def test_logits_and_features_have_the_same_size_at_any_resolution(name: str, channels: int, resolution: int) -> None:
    model = build_classifier(name, spec(channels, resolution), torch.Generator().manual_seed(0))
    images = torch.rand(2, channels, resolution, resolution) * 2 - 1
    assert model(images).shape == (2, 5)
    assert model.features(images).shape == (2, {"cnn": 128, "resnet": 64}[name])


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_pixel_counts(name: str) -> None:
    model = build_classifier(name, spec(3, 64), torch.Generator().manual_seed(0)).eval()
    images = torch.rand(4, 3, 64, 64, requires_grad=True)
    model(images).square().sum().backward()
    assert ((images.grad != 0).float().mean((0, 1)) > 0).all()


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_initial_weights_depend_on_the_generator_alone(name: str) -> None:
    state = torch.get_rng_state()
    generator = torch.Generator().manual_seed(3)
    first, second = (build_classifier(name, spec(), generator) for _ in range(2))
    again = build_classifier(name, spec(), torch.Generator().manual_seed(3))
    assert torch.equal(first.head.weight, again.head.weight)
    assert not torch.equal(first.head.weight, second.head.weight)
    assert torch.equal(torch.get_rng_state(), state)
