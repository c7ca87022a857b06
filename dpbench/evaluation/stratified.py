"""A fixed random part of a set of images, with the class proportions of the whole set.

A part chosen by position is not representative, as the class often depends on the position: of images labelled i % 10,
every tenth has the same class. Code that uses a part of a set therefore draws it at random, with a fixed seed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SEED = 0
PROTOCOL = f"parts drawn by class, seed {SEED}"
"""The protocol entry of a score that uses a part of a set."""

Indices = NDArray[np.int64]


def stratified_order(labels: NDArray[np.integer] | None, n: int) -> Indices:
    """A random order of n images in which every prefix has the class proportions of the whole, ± 1 image.

    Args:
        labels: class of each image [n]; None without classes, for a plain random permutation.
        n: number of images.

    Returns:
        A permutation, int64 [n], the same for the same labels.
    """
    order = np.random.default_rng(SEED).permutation(n)
    if labels is None:
        return order
    own = np.unique(labels, return_inverse=True)[1][order]
    by_class = np.argsort(own, kind="stable")
    counts = np.bincount(own)
    place = np.empty(n)  # of the k-th of c images of a class: (k + 1/2) / c
    place[by_class] = np.concatenate([(np.arange(c) + 0.5) / c for c in counts])
    return order[np.argsort(place, kind="stable")]


def stratified_part(labels: NDArray[np.integer] | None, n: int, most: int) -> Indices:
    """The positions of at most `most` of n images, sorted: a prefix of `stratified_order`."""
    return np.sort(stratified_order(labels, n)[:most])
