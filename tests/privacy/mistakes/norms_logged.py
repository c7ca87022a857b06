"""Logs the norms of contributions, to choose the clip.

Choose the clip on public images: `dpbench privacy METHOD --propose`.
"""

from small_methods import MeanImage, pixels

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = "reads a value that depends on records"


@METHODS.register("mistake")
class Mistake(MeanImage):
    def contribution(self, batch):
        values = pixels(batch)
        self.largest = float(values.flatten(1).norm(dim=1).max())  # the mistake
        return values
