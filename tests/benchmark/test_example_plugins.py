"""The dataset and the refiner that docs/plugins.md shows, in a run and on their own."""

from __future__ import annotations

from pathlib import Path

import fakes
import numpy as np
import pytest
import torch
from PIL import Image

import dpbench
from dpbench import REFINERS, DataOptions
from dpbench.core.cache import PublicCache
from dpbench.core.context import RunContext
from dpbench.core.errors import DataError, DpbenchError
from dpbench.core.plugin_files import load_plugin
from dpbench.data.opening import open_dataset, open_public
from dpbench.refiners.degrade import BlockMeans

EXAMPLES = Path(__file__).parents[1]


@pytest.fixture
def stripes(tiny: Path) -> DataOptions:
    load_plugin(EXAMPLES / "plugin_stripes.py")
    return DataOptions(tiny)


def test_stripes_run_along_their_class(stripes: DataOptions) -> None:
    dataset = open_dataset("stripes:2", stripes)
    batch = dataset.train().batch([0, 1, 2])
    assert batch.images.dtype == torch.uint8
    assert batch.images.shape == (3, *dataset.spec.shape)
    assert batch.labels.tolist() == [0, 1, 0]
    horizontal, vertical, _ = batch.images[:, 0].float()
    assert horizontal.std(1).max() == 0 < horizontal.std(0).min()
    assert vertical.std(0).max() == 0 < vertical.std(1).min()
    assert dataset.train().fingerprint != dataset.test().fingerprint


def test_a_dataset_of_one_file_is_trained_on(stripes: DataOptions, tiny: Path) -> None:
    load_plugin(EXAMPLES / "plugin_mean.py")
    row = dpbench.run(
        "mean", "stripes", [1.0], samples=30, metrics=["brightness"], references=(), out=tiny, device="cpu"
    ).iloc[0]
    assert row[["dataset", "n_train", "accounting"]].tolist() == ["stripes:4", 4000, "verified"]
    assert 0.995 <= row["epsilon_spent"] <= 1


def test_its_mistakes_are_reported(stripes: DataOptions) -> None:
    with pytest.raises(DpbenchError, match="whole number"):
        _ = open_dataset("stripes:wide", stripes).spec
    spec = open_dataset("stripes:2", stripes).spec
    with pytest.raises(DataError, match="never both public and sensitive"):
        open_public("stripes:4", spec, stripes)


def test_the_sharpened_image_is_closer_than_the_interpolated_one(tiny: Path) -> None:
    load_plugin(EXAMPLES / "plugin_unsharp.py")
    plugin = REFINERS.get("unsharp")
    run = RunContext("cpu", torch.Generator().manual_seed(0), PublicCache(tiny))
    public = fakes.TinyPublic("", DataOptions(tiny)).train()
    degrade = BlockMeans(1, noise=0.0)
    refiner = plugin(plugin.Config())
    refiner.prepare(public, degrade, run)
    images = public.batch(range(len(public))).images.float() / 127.5 - 1
    coarse, size = degrade(images, torch.Generator()), images.shape[-1]

    def error(strength: float) -> float:
        refiner.load_state_dict({"strength": torch.tensor([strength])})
        return float((refiner.refine(coarse, size, run) - images).square().mean())

    learned = float(refiner.state_dict()["strength"])
    assert learned != 0
    assert error(learned) < error(0.0)


def test_a_refiner_of_one_file_refines_a_folder(tiny: Path) -> None:
    load_plugin(EXAMPLES / "plugin_unsharp.py")
    (tiny.parent / "coarse").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tiny.parent / "coarse" / "a.png")
    done = dpbench.refine("unsharp", tiny.parent / "coarse", tiny, scale=2, public="tiny-public", device="cpu")
    with Image.open(done.images[0]) as image:
        assert image.size == (8, 8)
