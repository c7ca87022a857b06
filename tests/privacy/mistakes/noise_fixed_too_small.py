"""Fixes a noise multiplier that is too small for the budget.

Leave the multiplier unset to have it calibrated.
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
