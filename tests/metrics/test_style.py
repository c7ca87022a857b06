from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from distortions import FAMILIES, HARDLY_NOTICED, NEVER_OVERLOOKED, ladder
from PIL import Image
from torch import Tensor

from dpbench.core.data import DataOptions
from dpbench.core.errors import DataError, MissingScore
from dpbench.data.opening import open_dataset
from dpbench.data.synthetic.textures import Textures
from dpbench.metrics.extractors.style_statistics import StyleStatistics, group_sizes, luma_and_chroma, periods
from dpbench.metrics.statistics.energy import relative_energy
from dpbench.metrics.style import Style

Value = Callable[[Any, Any], float]


@pytest.fixture
def style(evaluation) -> Value:
    """style(synthetic, reference), of uint8 tensors [n, c, h, w] or sets."""
    return lambda x, y: Style().compute(evaluation(x, y))["style"].value


@pytest.fixture
def groups(evaluation) -> Callable[[Tensor], dict[str, Tensor]]:
    """groups(images) -> name of a group -> its statistics, [n, size]."""

    def split(images: Tensor) -> dict[str, Tensor]:
        extractor = evaluation(images).extractor("style")
        sizes = group_sizes(extractor.spec)
        return dict(zip(sizes, extractor(images).split(list(sizes.values()), dim=1), strict=True))

    return split


def check_order(style: Value, images: Tensor, make_images) -> None:
    """A person's order of the distortions of one half of the images, compared with the other half."""
    reference, held_out = make_images(images[::2]), images[1::2]
    values = {name: style(distorted, reference) for name, distorted in ladder(held_out)}
    for kind, (_, strengths) in FAMILIES.items():
        found = [values[f"{kind} {strength}"] for strength in strengths]
        assert found == sorted(found), f"{kind}: {found}"
    assert 3 * max(values[name] for name in HARDLY_NOTICED) < min(values[name] for name in NEVER_OVERLOOKED)
    assert values["collapse 1"] > 0.2
    assert abs(style(held_out, reference)) < 0.005


def test_distortions_are_ordered_as_a_person_does(style, make_images, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(Textures, "n_train", 300)
    check_order(style, open_dataset("textures", DataOptions(tmp_path)).train().batch(range(300)).images, make_images)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnist", "cifar10", "folder:{data}/cifar10"])
def test_distortions_of_real_images_are_ordered_as_a_person_does(style, make_images, name: str) -> None:
    folder = os.environ.get("DPBENCH_TEST_DATA")
    if not folder:
        pytest.skip("DPBENCH_TEST_DATA names no folder of real data")
    try:
        test = open_dataset(name.format(data=folder), DataOptions(Path(folder))).test()
    except DataError as error:
        pytest.skip(str(error))
    check_order(style, test.batch(range(1600)).images, make_images)


def test_the_value_is_the_mean_over_groups_of_relative_energy_distances(style, groups, noise) -> None:
    x, y = noise(50, 3), noise(70, 3, seed=1) // 2
    pairs = zip(groups(x).values(), groups(y).values(), strict=True)
    expected = np.mean([relative_energy(p.double().numpy(), q.double().numpy(), 1)[0].mean() for p, q in pairs])
    assert style(x, y) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32), (3, 64), (1, 13), (3, 9)])
def test_group_sizes_are_those_of_the_statistics(evaluation, noise, channels: int, size: int) -> None:
    x = noise(2, channels, 64)[..., :size, :size]
    extractor = evaluation(x).extractor("style")
    assert extractor(x).shape == (2, sum(group_sizes(extractor.spec).values()))


def test_statistics_are_in_just_noticeable_differences(groups) -> None:
    x = (128 + 25.5 * torch.randn(20, 3, 32, 32, generator=torch.Generator().manual_seed(0))).to(torch.uint8)
    x = x.clamp(0, 204)
    found, brighter = groups(x), groups(x + 51)
    colour = brighter["colour"] - found["colour"]
    torch.testing.assert_close(colour.mean(0), torch.tensor([10.0, 0, 0]), atol=1e-3, rtol=0)  # 0.2 / 0.02
    luma = 0.1 * (0.299**2 + 0.587**2 + 0.114**2) ** 0.5  # contrast of independent noise in three channels
    expected = np.log(luma**2 + 0.03**2) / 2 / 0.1
    np.testing.assert_allclose(found["contrast"][:, :3].mean(), expected, atol=0.1)
    np.testing.assert_allclose(found["sparsity"].mean(), 2 / np.pi / 0.1, rtol=0.03)
    assert found["structure"][:, :9].mean(0).abs().max() < 0.3  # orthogonal filters see independent noise


def test_seams_are_found_where_a_grid_is(groups) -> None:
    assert periods(32) == [2, 4, 8, 16]
    assert periods(28) == [2, 4, 7, 8, 14]
    patches = torch.randint(256, (30, 1, 4, 4), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    seams = groups(patches.repeat_interleave(8, 2).repeat_interleave(8, 3))["seams"].mean(0)
    assert seams.argmax() == 2  # the grid of 8 pixels
    assert seams[2] > 8  # seven of eight steps are none


def test_luma_and_chroma_are_those_of_jpeg() -> None:
    rgb = torch.randint(256, (1, 3, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    ycc = np.asarray(Image.fromarray(rgb[0].permute(1, 2, 0).numpy()).convert("YCbCr"), dtype=np.float64)
    found = luma_and_chroma(rgb.double())[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found, ycc - [0, 128, 128], atol=1)


def test_flat_images_have_finite_statistics_and_tiny_ones_are_refused(evaluation, style) -> None:
    x = torch.zeros(3, 3, 28, 28, dtype=torch.uint8)
    x[1] = 255
    assert torch.isfinite(evaluation(x).extractor("style")(x)).all()
    with pytest.raises(MissingScore, match="at least 9"):
        StyleStatistics(evaluation(x[..., :8, :8]))
    with pytest.raises(MissingScore, match="at least 2 images"):
        Style().compute(evaluation(x[:1], x))
