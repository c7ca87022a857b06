"""Takes a softmax over the first dimension instead of the last.

Normalise over dimensions of one record: `softmax(-1)`.
"""

from small_methods import MeanImage, pixels

from dpbench import METHODS

CAUGHT_BY = "probe"
REFUSED = "the contribution of 'sum' mixes records"


@METHODS.register("mistake")
class Mistake(MeanImage):
    def contribution(self, batch):
        return pixels(batch).softmax(0)
