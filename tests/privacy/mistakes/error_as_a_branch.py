"""Tries an inverse of each record's covariance, and takes another way when there is none.

A caught error is a decision by records. Add a constant to the diagonal, so that the inverse exists.
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
