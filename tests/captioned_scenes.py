"""Small sets of captioned scenes of 32 pixels, painted in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from dpbench.core.data import DataOptions
from dpbench.data.arrays import ArrayDataset
from dpbench.data.synthetic.procedural import Draws, Grid
from dpbench.data.synthetic.scenes import Scenes

SIZE = 32


def captioned_scenes(count: int, seed: int) -> ArrayDataset:
    """As many scenes as asked for, with three captions each."""
    plugin = Scenes("", DataOptions(Path(), SIZE))
    numbers = np.random.default_rng(seed).random((count, sum(Scenes.widths)), dtype=np.float32)
    unlabelled = np.zeros(count, dtype=np.int64)
    spec = replace(plugin.spec, n_train=count, n_test=count)
    images = plugin.paint(Draws(numbers), unlabelled, Grid(SIZE))
    return ArrayDataset(spec, images, plugin.condition(unlabelled, [Draws(numbers)]))
