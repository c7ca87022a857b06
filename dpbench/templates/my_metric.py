"""my-metric: the error of the images' mean brightness. Replace it with your idea."""

import numpy as np

from dpbench import METRICS, Column, Estimate, Metric


@METRICS.register("my-metric")
class MyMetric(Metric):
    """How far the mean brightness is off, relative to that of real images."""

    columns = (Column("my_metric_error", "low", "error of the mean brightness, relative to real images"),)

    def compute(self, evaluation):
        """The value of each column. Features are computed once for all metrics: here [n, 4^L, d] Haar packets."""
        synthetic, reference = (
            np.concatenate([block[:, 0].mean(1) for block in features.blocks()])  # the coarsest packet
            for features in evaluation.features("wavelet-packet")
        )
        ratio = synthetic / reference.mean()
        return {"my_metric_error": Estimate(abs(ratio.mean() - 1), 1.96 * ratio.std() / len(ratio) ** 0.5)}
