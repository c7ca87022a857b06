"""Requests a noisy sum twice, to average out the noise.

Plan it twice (`count=2`); each release then gets more noise.
"""

from small_methods import MeanImage

from dpbench import METHODS

CAUGHT_BY = "ledger"
REFUSED = "all 1 planned releases of 'sum' are spent"


@METHODS.register("mistake")
class Mistake(MeanImage):
    def fit(self, private, run):
        sums = [private.noisy_sum("sum", self.contribution) for _ in range(2)]
        self.mean = (sums[0] + sums[1]) / (2 * self.spec.n_train)
