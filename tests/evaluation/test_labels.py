"""Labels of a set of images."""

from __future__ import annotations

import torch

from dpbench.evaluation import labels
from dpbench.evaluation.labels import labels_of


def test_labels_come_in_order_whatever_the_batches(make_images, noise, monkeypatch) -> None:
    monkeypatch.setattr(labels, "BATCH", 2)
    assert labels_of(make_images(noise(5, 1), torch.tensor([4, 0, 3, 2, 1]), 5)).tolist() == [4, 0, 3, 2, 1]


def test_images_without_labels_have_none_and_are_not_read_where_there_are_no_classes(make_images, noise) -> None:
    assert labels_of(make_images(noise(3, 1), None, 2)) is None
    images = make_images(noise(3, 1))
    assert labels_of(images) is None
    assert images.asked == []
