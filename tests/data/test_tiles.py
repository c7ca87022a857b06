import numpy as np
import pytest
import torch

from dpbench.core.specs import DatasetSpec
from dpbench.data.arrays import ArrayDataset
from dpbench.data.tiles import Tiles


def _images(size: int) -> ArrayDataset:
    pixels = np.arange(3 * size * size).reshape(3, 1, size, size).astype(np.uint8)
    return ArrayDataset(DatasetSpec("ramp", 1, size, 3, 0, None, True), pixels, None)


@pytest.mark.parametrize(("size", "tiles"), [(8, 4), (10, 9), (4, 1)])
def test_tiles_are_parts_of_the_images_and_cover_them(size, tiles):
    whole = _images(size).batch([2]).images[0, 0]
    cut = Tiles(_images(size), 4)
    assert len(cut) == 3 * tiles
    assert cut.spec.shape == (1, 4, 4)
    parts = cut.batch(range(2 * tiles, 3 * tiles)).images[:, 0]
    places = whole.unfold(0, 4, 1).unfold(1, 4, 1)  # [y, x, 4, 4]: every part there is
    covered = torch.zeros(size, size, dtype=torch.bool)
    for part in parts:
        y, x = (places == part).all(-1).all(-1).nonzero()[0].tolist()
        covered[y : y + 4, x : x + 4] = True
    assert covered.all()


def test_the_fingerprint_tells_sides_and_images_apart():
    prints = {Tiles(_images(size), side).fingerprint for size, side in ((8, 4), (8, 2), (10, 4))}
    assert len(prints) == 3
