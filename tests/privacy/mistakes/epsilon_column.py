"""Declares a metric with the column `epsilon_spent`.

Columns that record the run and its budget are reserved: rename it.
"""

from small_methods import MeanImage

from dpbench import METHODS, METRICS, Column, Metric

CAUGHT_BY = "row"
REFUSED = "metric 'budget' may not fill 'epsilon_spent', a reserved column; rename it"


@METHODS.register("mistake")
class Mistake(MeanImage):
    """The mistake is the metric."""


@METRICS.register("budget")
class Budget(Metric):
    columns = (Column("epsilon_spent", "low", "what a paper says it spent"),)

    def compute(self, evaluation):
        return {"epsilon_spent": 0.01}


def attempt(run):
    return run(metrics=["brightness", "budget"])
