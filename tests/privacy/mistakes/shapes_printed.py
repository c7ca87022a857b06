"""Prints the shapes and types of a batch.

Shapes are public: the vault pads every batch to the same size.
"""

from small_methods import MeanImage, pixels

from dpbench import METHODS

ALLOWED = True


@METHODS.register("mistake")
class Mistake(MeanImage):
    def contribution(self, batch):
        print(batch.images.shape, batch.images.dtype, len(batch), batch.labels is None)
        return pixels(batch)
