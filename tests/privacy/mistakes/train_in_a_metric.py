"""Compares samples with the training images in a metric that does not declare it.

Set `reads_train = True`: for data that is not declared public, the column then stays in `sensitive/`.
"""

from small_methods import MeanImage

from dpbench import METHODS, METRICS, Column, Metric

CAUGHT_BY = "row"
REFUSED = "reads_train"


@METHODS.register("mistake")
class Mistake(MeanImage):
    """The mistake is the metric."""


@METRICS.register("closeness")
class Closeness(Metric):
    columns = (Column("closeness", "low", "difference of mean brightness to train"),)

    def compute(self, evaluation):
        sets = (evaluation.synthetic, evaluation.train)
        means = [images.batch(range(len(images))).images.float().mean().item() for images in sets]
        return {"closeness": abs(means[0] - means[1])}


def attempt(run):
    return run(metrics=["closeness"])
