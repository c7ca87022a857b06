"""Images whose detail their coarse version does not determine, and runs that refine them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dpbench.core.cache import PublicCache
from dpbench.core.config import build
from dpbench.core.context import RunContext
from dpbench.core.specs import DatasetSpec
from dpbench.data.arrays import ArrayDataset
from dpbench.models.image_range import to_unit
from dpbench.refiners.degrade import BlockMeans


def patterns(seed: int, channels: int = 1, size: int = 16) -> ArrayDataset:
    """Images with a dark and a bright half; each half has one of two stripe patterns with equal block means."""
    random = np.random.default_rng(seed)
    row, column = np.indices((size, size))
    stripes = np.stack([row // 2 % 2, column // 2 % 2])[random.integers(0, 2, 300)]  # [300, size, size]
    ground = np.where(column < random.integers(4, size - 4, 300)[:, None, None], 60, 160)
    images = (ground + 60 * stripes).astype(np.uint8)[:, None].repeat(channels, 1)
    return ArrayDataset(DatasetSpec("patterns", channels, size, 300, 0, None, True), images, None)


def truth(count: int = 100, **shape: int) -> Tensor:
    """Images that no refiner was trained on."""
    return to_unit(patterns(1, **shape).batch(range(count)).images)


def shrunk(images: Tensor) -> Tensor:
    """Block means of 4 x 4 pixels."""
    return BlockMeans(2, 0.0)(images, torch.Generator())


def run_in(folder: Path, seed: int = 0) -> RunContext:
    return RunContext("cpu", torch.Generator().manual_seed(seed), PublicCache(folder))


def prepared(plugin: type, folder: Path, settings: dict, levels: int = 2, **shape: int) -> Any:
    """A refiner trained on the patterns to undo block means of 2^levels pixels."""
    refiner = plugin(build(plugin.Config, settings))
    refiner.prepare(patterns(0, **shape), BlockMeans(levels, 0.02), run_in(folder))
    return refiner


def detail(images: Tensor) -> Tensor:
    """The images less their block means."""
    return images - F.interpolate(F.avg_pool2d(images, 4), scale_factor=4)
