from __future__ import annotations

import pytest
import torch
from torch import nn

from dpbench.core.errors import MissingScore
from dpbench.core.specs import DatasetSpec
from dpbench.metrics.classifiers import dpimagebench, quick, versions
from dpbench.metrics.classifiers.base import build_classifier, require_size

QUICK, PUBLISHED, PUBLISHED_CIFAR = quick.NETWORKS, dpimagebench.NETWORKS, dpimagebench.CIFAR_NETWORKS


def spec(channels: int = 1, resolution: int = 28, classes: int = 5) -> DatasetSpec:
    return DatasetSpec("toy", channels, resolution, 1, 1, tuple(f"c{k}" for k in range(classes)), True)


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize(("channels", "resolution"), [(1, 28), (3, 28), (1, 32), (3, 32), (3, 48), (3, 64), (1, 128)])
def test_logits_and_features_have_the_same_size_at_any_resolution(name: str, channels: int, resolution: int) -> None:
    model = build_classifier(QUICK[name], spec(channels, resolution), torch.Generator().manual_seed(0))
    images = torch.rand(2, channels, resolution, resolution) * 2 - 1
    assert model(images).shape == (2, 5)
    assert model.features(images).shape == (2, 128)


@pytest.mark.parametrize(
    ("table", "name", "smallest"),
    [(QUICK, "cnn", 4), (QUICK, "vgg", 8), (QUICK, "resnet", 16), *((PUBLISHED, name, 4) for name in PUBLISHED)],
)
def test_small_images_are_classified_or_refused(table, name: str, smallest: int) -> None:
    with torch.device("meta"):
        model = table[name](spec())
        for resolution in (4, 8, 13, 15, 16):
            if resolution < smallest:
                with pytest.raises(MissingScore, match=f"of at least {smallest}, not {resolution}"):
                    require_size(spec(1, resolution), [model])
            else:
                require_size(spec(1, resolution), [model])
                assert model(torch.rand(2, 1, resolution, resolution)).shape == (2, 5)


@pytest.mark.parametrize("name", QUICK)
def test_every_pixel_counts(name: str) -> None:
    model = build_classifier(QUICK[name], spec(3, 64), torch.Generator().manual_seed(0)).eval()
    images = torch.rand(4, 3, 64, 64, requires_grad=True)
    model(images).square().sum().backward()
    assert ((images.grad != 0).float().mean((0, 1)) > 0).all()


@pytest.mark.parametrize("name", QUICK)
def test_quick_ones_judge_an_image_by_itself(name: str) -> None:
    model = build_classifier(QUICK[name], spec(3, 32), torch.Generator().manual_seed(0)).train()
    images = torch.rand(6, 3, 32, 32)
    torch.testing.assert_close(model(images)[:2], model(images[:2]))
    assert not list(model.buffers())


@pytest.mark.parametrize("name", QUICK)
def test_initial_weights_depend_on_the_generator_alone(name: str) -> None:
    state = torch.get_rng_state()
    generator = torch.Generator().manual_seed(3)
    first, second = (build_classifier(QUICK[name], spec(), generator) for _ in range(2))
    again = build_classifier(QUICK[name], spec(), torch.Generator().manual_seed(3))
    assert torch.equal(first.head.weight, again.head.weight)
    assert not torch.equal(first.head.weight, second.head.weight)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("table", "name", "millions"),
    [
        (PUBLISHED, "resnet", 1.73),  # 1.7 in He et al., table 6, without the projections
        (PUBLISHED, "wrn", 8.95),  # 8.9 in Zagoruyko and Komodakis, table 4
        (PUBLISHED, "resnext", 34.43),  # 34.4 in Xie et al., table 7
        (PUBLISHED_CIFAR, "wrn", 36.48),  # 36.5 in Zagoruyko and Komodakis, table 4
    ],
)
def test_published_ones_have_the_published_number_of_parameters(table, name: str, millions: float) -> None:
    with torch.device("meta"):
        model = table[name](spec(3, 32, classes=10))
    assert parameters(model) / 1e6 == pytest.approx(millions, abs=0.01)


@pytest.mark.parametrize(
    ("table", "name", "convolutions"),
    [
        (PUBLISHED, "resnet", 109),
        (PUBLISHED, "wrn", 37),
        (PUBLISHED, "resnext", 28),
        (PUBLISHED_CIFAR, "resnet", 163),
        (PUBLISHED_CIFAR, "wrn", 25),
        (PUBLISHED_CIFAR, "resnext", 19),
    ],
)
def test_published_ones_have_the_published_depth(table, name: str, convolutions: int) -> None:
    with torch.device("meta"):
        model = table[name](spec(3, 32))
    kernels = [m for n, m in model.named_modules() if isinstance(m, nn.Conv2d) and "shortcut" not in n]
    assert len(kernels) == convolutions  # the remaining layer is the head; WRN counts three projections, too
    assert not any(isinstance(m, nn.GroupNorm) for m in model.modules())


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize(("channels", "resolution"), [(1, 28), (3, 32)])
def test_published_ones_see_a_quarter_of_the_resolution_at_last(name: str, channels: int, resolution: int) -> None:
    with torch.device("meta"):
        model = PUBLISHED[name](spec(channels, resolution))
        images = torch.empty(2, channels, resolution, resolution)
        assert model.blocks(model.stem(images)).shape[2:] == (resolution // 4, resolution // 4)
        assert model(images).shape == (2, 5)


def test_the_networks_are_those_that_the_protocol_names() -> None:
    assert (*QUICK,) == versions.QUICK
    assert (*PUBLISHED,) == (*PUBLISHED_CIFAR,) == versions.DPIMAGEBENCH
    assert versions.REAL in QUICK
