"""Plans a clip smaller than the contributions' norms.

The vault scales every contribution down to the clip of the plan.
"""

from small_methods import MeanImage

from dpbench import METHODS, NoisySum, Plan

ALLOWED = True


@METHODS.register("mistake")
class Mistake(MeanImage):
    @classmethod
    def plan(cls, config, spec, request):
        return Plan(NoisySum(name="sum", clip=1.0))
