"""Standardises images by the mean and standard deviation of the batch.

Standardise each image separately, or by constants.
"""

from small_methods import MeanImage, pixels

from dpbench import METHODS

CAUGHT_BY = "probe"
REFUSED = "the contribution of 'sum' mixes records"


@METHODS.register("mistake")
class Mistake(MeanImage):
    def contribution(self, batch):
        images = pixels(batch)
        return (images - images.mean()) / images.std()
