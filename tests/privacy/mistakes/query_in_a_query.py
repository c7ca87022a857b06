"""Asks a query inside the contribution of another one of the same mechanism: both would draw the same noise.

Ask first, and use the answer in the contribution.
"""

from small_methods import MeanImage, pixels

from dpbench import METHODS, NoisySum, Plan

CAUGHT_BY = "vault"
REFUSED = "one query at a time"


@METHODS.register("mistake")
class Mistake(MeanImage):
    centre = None

    def plan(self, request):
        return Plan(NoisySum(name="sum", clip=16.0, count=2))

    def fit(self, private, run):
        def contribution(batch):
            if self.centre is None:
                self.centre = private.noisy_sum("sum", pixels) / self.spec.n_train
            return pixels(batch) - self.centre

        rest = private.noisy_sum("sum", contribution) / self.spec.n_train
        self.mean = self.centre + rest
