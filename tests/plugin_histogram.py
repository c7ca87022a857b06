"""A metric with an extractor of its own: how far the histogram of intensities is off.

dpbench run --plugin plugin_histogram.py --method wavelet --metrics histogram
"""

import torch
from torch.nn.functional import one_hot

from dpbench import EXTRACTORS, METRICS, Column, Extractor, Metric


@EXTRACTORS.register("histogram")
class Histogram(Extractor):
    """Shares of 16 intensities in an image."""

    description = "16 equal bins of uint8 values"  # all that its features depend on besides the images

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return one_hot(images.long().flatten(1) // 16, 16).float().mean(1)


@METRICS.register("histogram")
class HistogramDistance(Metric):
    """Total variation distance between mean histograms of intensities."""

    columns = (Column("histogram", "low", "total variation distance of intensities, in [0, 1]"),)

    def compute(self, evaluation):
        synthetic, reference = (features.at_most(len(features)) for features in evaluation.features("histogram"))
        return {"histogram": float(abs(synthetic.mean(0) - reference.mean(0)).sum() / 2)}
