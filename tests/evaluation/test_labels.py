"""Labels of a set of images."""

from __future__ import annotations

import torch

from dpbench.evaluation import labels
from dpbench.evaluation.labels import labels_at


def test_labels_come_in_the_order_asked_for_a_part_at_a_time(make_images, noise, monkeypatch) -> None:
    monkeypatch.setattr(labels, "BATCH", 2)
    images = make_images(noise(5, 1), torch.tensor([4, 3, 2, 1, 0]), 5)
    assert labels_at(images, [0, 4, 1, 2, 3]).tolist() == [4, 0, 3, 2, 1]


def test_images_without_labels_have_none(make_images, noise) -> None:
    assert labels_at(make_images(noise(3, 1)), [0, 1]) is None
