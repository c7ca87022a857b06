import itertools

import torch

from dpbench.training.augmentation import AUGMENTATIONS


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
