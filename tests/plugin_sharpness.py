"""A complete metric in one file: how far the energy of the finest detail is off.

dpbench run --plugin plugin_sharpness.py --method wavelet
"""

import numpy as np

from dpbench import METRICS, Column, Estimate, Metric


@METRICS.register("sharpness")
class Sharpness(Metric):
    """How far the mean energy of the finest Haar details is off, as a share of that of real images."""

    columns = (Column("sharpness_error", "low", "error of the finest details' energy, relative to real images"),)

    def compute(self, evaluation):
        # The features [n, 4^L, d] are Haar packets, made once for all metrics that ask; the first quarter is coarse.
        synthetic, reference = (
            np.concatenate([(block[:, block.shape[1] // 4 :] ** 2).sum((1, 2)) for block in features.blocks()])
            for features in evaluation.features("wavelet-packet")
        )
        ratio = synthetic / reference.mean()
        return {"sharpness_error": Estimate(abs(ratio.mean() - 1), 1.96 * ratio.std() / len(ratio) ** 0.5)}
