"""Directions of embeddings, for metrics that compare angles."""

from __future__ import annotations

import numpy as np

from dpbench.evaluation.features import Array


def directions(embeddings: Array) -> Array:
    """Embeddings [n, d], each divided by its L2 norm; one of zeros becomes NaN."""
    with np.errstate(invalid="ignore"):  # the statistics report NaN
        return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
