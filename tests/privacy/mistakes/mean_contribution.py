"""Returns the mean of the batch as its contribution.

Return one row per record; the vault adds them up.
"""

from small_methods import MeanImage, pixels

from dpbench import METHODS

CAUGHT_BY = "probe"
REFUSED = "must give one value per record"


@METHODS.register("mistake")
class Mistake(MeanImage):
    def contribution(self, batch):
        return pixels(batch).mean(0)
