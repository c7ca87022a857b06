"""Takes the records out of the vault by an attribute whose name starts with an underscore.

Python hides nothing. Whoever writes `private._parts.records` knows what it is.
"""

from small_methods import MeanImage, pixels

from dpbench import METHODS

UNSEEN = True


@METHODS.register("mistake")
class Mistake(MeanImage):
    def fit(self, private, run):
        super().fit(private, run)
        self.mean = pixels(private._parts.records.batch(range(200))).mean(0)
