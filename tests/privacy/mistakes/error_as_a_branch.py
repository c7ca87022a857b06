"""Inverts each record's covariance, and takes another branch if it is singular.

Catching an error makes a decision that depends on records. Add a constant to the diagonal, so that the inverse exists.
"""

import torch
from small_methods import MeanImage, pixels

from dpbench import METHODS

CAUGHT_BY = "probe"
REFUSED = "the contribution of 'sum' (mixes records|reads a value that depends on records)"


@METHODS.register("mistake")
class Mistake(MeanImage):
    def contribution(self, batch):
        images = pixels(batch)
        try:
            return torch.linalg.inv(images @ images.mT)  # the mistake
        except RuntimeError:
            return images
