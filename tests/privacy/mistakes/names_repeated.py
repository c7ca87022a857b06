"""Plans two sums with the same name.

Give each mechanism a name, or plan one with `count=2`.
"""

from small_methods import MeanImage

from dpbench import METHODS, NoisySum, Plan

CAUGHT_BY = "plan"
REFUSED = "the plan names sum more than once"


@METHODS.register("mistake")
class Mistake(MeanImage):
    @classmethod
    def plan(cls, config, spec, request):
        return Plan(NoisySum(name="sum", clip=16.0), NoisySum(name="sum", clip=1.0))
