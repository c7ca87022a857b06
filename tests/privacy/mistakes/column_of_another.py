"""Declares a metric with the column of another metric.

Rename it.
"""

from small_methods import MeanImage

from dpbench import METHODS, METRICS, Column, Metric

CAUGHT_BY = "row"
REFUSED = "metrics 'brightness' and 'glow' both fill 'brightness'"


@METHODS.register("mistake")
class Mistake(MeanImage):
    """The mistake is the metric."""


@METRICS.register("glow")
class Glow(Metric):
    columns = (Column("brightness", "low", "difference of mean brightness"),)

    def compute(self, evaluation):
        return {"brightness": 0.0}


def attempt(run):
    return run(metrics=["brightness", "glow"])
