"""Prints a batch's labels for debugging.

Print shapes.
"""

from small_methods import MeanImage, pixels

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = "reads a value that depends on records"


@METHODS.register("mistake")
class Mistake(MeanImage):
    def contribution(self, batch):
        print("labels", batch.labels[:5])  # the mistake
        return pixels(batch)
