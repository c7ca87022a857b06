"""Makes a second query that depends on the first answer.

Composition allows adaptive queries: both are in the plan.
"""

from small_methods import MeanImage, pixels

from dpbench import METHODS, NoisySum, Plan

ALLOWED = True


@METHODS.register("mistake")
class Mistake(MeanImage):
    @classmethod
    def plan(cls, config, spec, request):
        return Plan(NoisySum(name="sum", clip=16.0), NoisySum(name="rest", clip=8.0))

    def fit(self, private, run):
        super().fit(private, run)
        first = self.mean
        self.mean = first + private.noisy_sum("rest", lambda b: pixels(b) - first) / self.spec.n_train
