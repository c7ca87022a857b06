"""Plans DP-SGD with the number of records of another dataset, so that the sampling rate looks smaller.

Plan with `n=self.spec.n_train`.
"""

from small_methods import Denoiser

from dpbench import DPSGD, METHODS, Plan

CAUGHT_BY = "plan"
REFUSED = "'steps' is planned for 400 records, but the dataset has 200"


@METHODS.register("mistake")
class Mistake(Denoiser):
    @classmethod
    def plan(cls, config, spec, request):
        return Plan(DPSGD(name="steps", clip=1.0, n=400, expected_batch=20, steps=1))
