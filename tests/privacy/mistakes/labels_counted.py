"""Counts labels in a contribution, to find the class sizes.

Plan the counts: a `NoisySum` whose contribution is `one_hot(labels)`, with clip 1.
"""

import torch
from small_methods import MeanImage, pixels
from torch.nn.functional import one_hot

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = "writes into a tensor that is older than the call"


@METHODS.register("mistake")
class Mistake(MeanImage):
    def contribution(self, batch):
        self.counts += one_hot(batch.labels, 2).sum(0)  # the mistake
        return pixels(batch)

    def fit(self, private, run):
        self.counts = torch.zeros(2, dtype=torch.long)
        super().fit(private, run)
