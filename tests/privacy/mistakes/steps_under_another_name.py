"""Uses a mechanism that is not in the plan.

Use the plan's names.
"""

from small_methods import MeanImage

from dpbench import METHODS

CAUGHT_BY = "ledger"
REFUSED = "the plan has no mechanism 'mean'; it names sum"


@METHODS.register("mistake")
class Mistake(MeanImage):
    def fit(self, private, run):
        self.mean = private.noisy_sum("mean", self.contribution)
