"""Appends every batch to a list.

Inspect public or synthetic images.
"""

from small_methods import MeanImage, pixels

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = "keeps a tensor that depends on records"


@METHODS.register("mistake")
class Mistake(MeanImage):
    def contribution(self, batch):
        self.seen = [*getattr(self, "seen", []), batch.labels]
        return pixels(batch)
