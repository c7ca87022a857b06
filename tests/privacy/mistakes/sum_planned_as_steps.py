"""Plans DP-SGD, which is accounted for as subsampled, and runs a sum over all records.

Plan a `NoisySum`.
"""

from small_methods import MeanImage

from dpbench import DPSGD, METHODS, Plan

CAUGHT_BY = "ledger"
REFUSED = "'sum' is planned as DPSGD, not as NoisySum"


@METHODS.register("mistake")
class Mistake(MeanImage):
    @classmethod
    def plan(cls, config, spec, request):
        return Plan(DPSGD(name="sum", clip=1.0, n=spec.n_train, expected_batch=20, steps=1))
