"""Finds the classes from the labels of a batch.

Class names are public by declaration: use `self.spec.n_classes`.
"""

import torch
from small_methods import MeanImage, pixels

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = "reads a value that depends on records"


@METHODS.register("mistake")
class Mistake(MeanImage):
    def contribution(self, batch):
        classes = torch.unique(batch.labels)  # the mistake
        place = (batch.labels[:, None] == classes).float()
        return place[..., None, None, None] * pixels(batch)[:, None]
