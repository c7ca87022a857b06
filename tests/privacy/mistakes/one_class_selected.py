"""Selects the records of one class by a mask, so that sizes depend on labels.

Multiply the others by zero: `(labels == 1)[:, None, None, None] * images`.
"""

import torch
from small_methods import MeanImage, pixels

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = "reads a value that depends on records"


@METHODS.register("mistake")
class Mistake(MeanImage):
    def contribution(self, batch):
        chosen = pixels(batch)[batch.labels == 1]  # the mistake
        missing = len(batch) - len(chosen)
        return torch.cat([chosen, torch.zeros(missing, *self.spec.shape)])
