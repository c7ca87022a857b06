"""Builds its contribution in a Python loop over the labels.

Write it as an operation on tensors, such as `table[labels]` or `one_hot`.
"""

import torch
from small_methods import MeanImage, pixels

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = "reads a value that depends on records"


@METHODS.register("mistake")
class Mistake(MeanImage):
    def contribution(self, batch):
        signs = [1.0 if label == 0 else -1.0 for label in batch.labels.tolist()]  # the mistake
        return torch.tensor(signs)[:, None, None, None] * pixels(batch)
