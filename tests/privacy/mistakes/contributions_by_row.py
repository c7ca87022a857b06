"""Makes a contribution depend on the row in a Poisson sample.

Make it depend only on the record; a sum over all records (rate 1) may depend on the position in the dataset.
"""

import torch
from small_methods import MeanImage, pixels

from dpbench import METHODS, NoisySum, Plan

CAUGHT_BY = "probe"
REFUSED = "depends on a record's place in the batch"


@METHODS.register("mistake")
class Mistake(MeanImage):
    @classmethod
    def plan(cls, config, spec, request):
        return Plan(NoisySum(name="sum", clip=16.0, rate=0.1))

    def contribution(self, batch):
        return torch.linspace(0, 1, len(batch))[:, None, None, None] * pixels(batch)
