"""Runs a query inside the contribution of another query of the same mechanism.

Both are planned, and each has its own receipt and noise. Running the inner query first is easier to read.
"""

from small_methods import MeanImage, pixels

from dpbench import METHODS, NoisySum, Plan

ALLOWED = True


@METHODS.register("mistake")
class Mistake(MeanImage):
    centre = None

    @classmethod
    def plan(cls, config, spec, request):
        return Plan(NoisySum(name="sum", clip=16.0, count=2))

    def fit(self, private, run):
        def contribution(batch):
            if self.centre is None:
                self.centre = private.noisy_sum("sum", pixels) / self.spec.n_train
            return pixels(batch) - self.centre

        rest = private.noisy_sum("sum", contribution) / self.spec.n_train
        self.mean = self.centre + rest
