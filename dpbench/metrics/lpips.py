"""Diversity: the perceptual distance of synthetic images within a class (LPIPS: Zhang et al., arXiv 1801.03924)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from dpbench.core.errors import MissingScore
from dpbench.core.metric import Column, Estimate, Evaluation, Metric
from dpbench.core.progress import track
from dpbench.evaluation import intervals as bootstrap

PAIRS = 2000
BATCH = 50  # pairs
SMALLEST = 64  # pixels: the size of the patches that LPIPS was trained on


class LPIPSDiversity(Metric):
    """Mean LPIPS distance within a class: diversity.

    The mean distance between two synthetic images of the same class, or between any two if there are no classes; 0 if
    all images are equal. There are at most 2,000 pairs, drawn at random; no image is in two pairs. The network is
    AlexNet with the linear heads of version 0.1. Images below 64 x 64 are enlarged to that size. There is no best
    value: compare it with the `real` row. Mode collapse gives a lower value, and blur or noise can give a higher one.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("lpips", None, "mean LPIPS distance of synthetic images of one class; compare with the `real` row"),
    )
    headline: ClassVar[bool] = False
    protocol: ClassVar[str] = f"v2, AlexNet 7be5be79, heads v0.1, at most {PAIRS} pairs, from {SMALLEST} pixels"

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """{"lpips": value}, at least 0.

        Raises:
            MissingScore: no class has two images, or LPIPS is not installed.
        """
        from dpbench.metrics.statistics.perceptual import draw_pairs, load_lpips, lpips_distances

        network, device = load_lpips(evaluation.run.device), evaluation.run.device
        pairs = draw_pairs(evaluation.synthetic, PAIRS, evaluation.run.generator)
        if len(pairs) == 0:
            raise MissingScore("no class has two synthetic images")
        starts = range(0, len(pairs), BATCH)
        distances = [
            lpips_distances(network, evaluation.synthetic, pairs[start : start + BATCH], SMALLEST, device)
            for start in track(evaluation.run.progress, starts, "lpips: pairs", len(starts))
        ]
        return {"lpips": bootstrap.mean(np.concatenate(distances), evaluation.run.generator)}
