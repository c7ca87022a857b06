"""Divides contributions by the largest one of the batch.

Divide by a constant; the vault clips each record.
"""

from small_methods import MeanImage, pixels

from dpbench import METHODS

CAUGHT_BY = "probe"
REFUSED = "the contribution of 'sum' mixes records"


@METHODS.register("mistake")
class Mistake(MeanImage):
    def contribution(self, batch):
        images = pixels(batch)
        return images / images.flatten(1).norm(dim=1).max()
