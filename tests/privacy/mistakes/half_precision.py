"""Computes contributions in half precision, where they overflow.

Values that are not finite count as zero, so this is safe but useless; a warning says so. Compute in fp32.
"""

from small_methods import MeanImage, pixels

from dpbench import METHODS

CAUGHT_BY = "probe"
WARNED = "is not finite for"


@METHODS.register("mistake")
class Mistake(MeanImage):
    def contribution(self, batch):
        return pixels(batch).half() * 1e6
