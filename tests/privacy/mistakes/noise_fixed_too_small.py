"""Fixes a noise multiplier that the budget does not pay for.

Leave the multiplier out, to have it calibrated.
"""

from small_methods import MeanImage

from dpbench import METHODS, NoisySum, Plan

CAUGHT_BY = "plan"
REFUSED = "noise"


@METHODS.register("mistake")
class Mistake(MeanImage):
    @classmethod
    def plan(cls, config, spec, request):
        return Plan(NoisySum(name="sum", clip=16.0, noise_multiplier=0.5))
