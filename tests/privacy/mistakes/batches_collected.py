"""Appends every batch to a list, to look at them later.

Look at public images, or at synthetic ones.
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
