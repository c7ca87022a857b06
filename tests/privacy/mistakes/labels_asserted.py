"""Asserts that labels are in range, and prints them otherwise.

The vault's datasets are checked when they are opened. An assertion makes a decision that depends on records.
"""

from small_methods import MeanImage, pixels

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = "reads a value that depends on records"


@METHODS.register("mistake")
class Mistake(MeanImage):
    def contribution(self, batch):
        assert (batch.labels < 2).all(), f"wrong labels: {batch.labels}"  # the mistake
        return pixels(batch)
