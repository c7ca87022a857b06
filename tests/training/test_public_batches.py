import numpy as np
import pytest
import torch

from dpbench.core.specs import DatasetSpec
from dpbench.data.arrays import ArrayDataset
from dpbench.training.augmentation import AUGMENTATIONS
from dpbench.training.public_batches import PublicBatches


def _dataset() -> ArrayDataset:
    images = np.random.default_rng(0).integers(0, 256, (20, 1, 16, 16), dtype=np.uint8)
    return ArrayDataset(DatasetSpec("random", 1, 16, 20, 0, ("a", "b"), True), images, np.arange(20) % 2)


@pytest.mark.parametrize("augmentation", sorted(AUGMENTATIONS))
def test_augmented_batches_keep_shape_and_range(augmentation):
    images, labels = PublicBatches(_dataset(), augmentation, "cpu", torch.Generator().manual_seed(0)).draw(9)
    assert images.shape == (9, 1, 16, 16)
    assert labels is not None
    assert labels.shape == (9,)
    assert images.min() >= -1
    assert images.max() <= 1


@pytest.mark.parametrize("augmentation", ["strokes", "colours", "rand-augment"])
def test_batches_depend_only_on_the_generator(augmentation):
    first, second = (PublicBatches(_dataset(), augmentation, "cpu", torch.Generator().manual_seed(4)) for _ in range(2))
    before = torch.get_rng_state()
    images = first.collect(30, chunk=7)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    assert torch.equal(images, second.collect(30, chunk=7))
