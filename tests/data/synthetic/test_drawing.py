"""Pictures of one style and of many: the same everywhere, a style per class, and one that the public lacks."""

from __future__ import annotations

import numpy as np
import pytest
from test_rendering import hashed

from dpbench.data.synthetic.drawings import STYLES, Drawings
from dpbench.data.synthetic.pictograms import STYLE, Pictograms


class FewPictograms(Pictograms):
    n_test = 40


class FewDrawings(Drawings):
    n_train = 600
    n_test = 20


@pytest.mark.parametrize(("few", "expected"), [(FewPictograms, "d38400efd99f1608"), (FewDrawings, "195dc0b2431cc906")])
def test_every_machine_paints_the_same_bytes(few, expected, options):
    assert hashed(few("", options).train(), 64) == expected


def corners(images: np.ndarray) -> np.ndarray:
    """The colours of the paper: [n, 3], in the corner where no shadow falls."""
    return images[:, :, 0, 0]


def test_pictograms_are_few_and_all_of_one_style(options):
    dataset = Pictograms("", options)
    assert (dataset.spec.n_train, dataset.spec.classes, dataset.public_only) == (150, None, False)
    images = dataset.train().batch(range(150)).images.numpy()
    assert (corners(images) == np.round(255 * STYLE.paper).astype(np.uint8)).mean() > 0.95
    assert len({image.tobytes() for image in images}) == 150


def test_a_class_of_drawings_is_a_style(options):
    dataset = FewDrawings("", options)
    batch = dataset.train().batch(range(600))
    papers = np.round(255 * STYLES.of(batch.labels.numpy()).paper).astype(np.uint8)
    assert dataset.public_only
    assert (corners(batch.images.numpy()) == papers).all(1).mean() > 0.8


def test_the_private_style_is_not_a_public_one():
    numbers = [np.concatenate([part.reshape(len(part), -1) for part in styles], 1) for styles in (STYLE, STYLES)]
    assert abs(numbers[1] - numbers[0])[:, :9].max(1).min() > 0.1
