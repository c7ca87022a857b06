import itertools

import numpy as np
import pytest
import torch

from dpbench.core.specs import DatasetSpec
from dpbench.data.arrays import ArrayDataset
from dpbench.training.public import AUGMENTATIONS, PublicBatches, to_uint8, to_unit


def _dataset() -> ArrayDataset:
    images = np.random.default_rng(0).integers(0, 256, (20, 1, 16, 16), dtype=np.uint8)
    return ArrayDataset(DatasetSpec("random", 1, 16, 20, 0, ("a", "b"), True), images, np.arange(20) % 2)


def test_scaling_to_unit_range_and_back_keeps_every_byte():
    every = torch.arange(256, dtype=torch.uint8)
    assert to_unit(every).min() == -1
    assert to_unit(every).max() == 1
    assert torch.equal(to_uint8(to_unit(every)), every)


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


def test_rand_augment_changes_each_image_on_its_own():
    images = torch.zeros(64, 1, 8, 8) - 1
    images[..., 2:6, 3:5] = 1
    changed = AUGMENTATIONS["rand-augment"](images, torch.Generator().manual_seed(0))
    assert 0 < (changed == images).all(dim=(1, 2, 3)).sum() < 40  # some operations leave such an image as it is
    assert len(changed.unique(dim=0)) > 20


def test_colours_permutes_the_channels_of_each_image():
    images = torch.rand(600, 3, 4, 4)
    changed = AUGMENTATIONS["colours"](images, torch.Generator().manual_seed(0))
    orders = [list(order) for order in itertools.permutations(range(3))]
    counts = torch.stack([(changed == images[:, order]).all(dim=3).all(dim=2).all(dim=1) for order in orders]).sum(1)
    assert counts.sum() == len(images)
    assert all(60 < count < 140 for count in counts)


def test_flip_mirrors_half_of_the_images():
    images = torch.rand(400, 1, 4, 4)
    flipped = AUGMENTATIONS["flip"](images, torch.Generator().manual_seed(0))
    mirrored = (flipped == images.flip(-1)).all(dim=(1, 2, 3))
    assert torch.equal(flipped[~mirrored], images[~mirrored])
    assert 140 < mirrored.sum() < 260
