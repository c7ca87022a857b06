"""Counts labels with numpy in a contribution.

Plan the counts: a `NoisySum` whose contribution is `one_hot(labels)`, with clip 1.
"""

import numpy as np
from small_methods import MeanImage, pixels

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = "reads a value that depends on records"


@METHODS.register("mistake")
class Mistake(MeanImage):
    def contribution(self, batch):
        self.counts = np.bincount(batch.labels.numpy(), minlength=2)  # the mistake
        return pixels(batch)
