"""Takes the records out of the vault through an attribute whose name starts with an underscore.

Python has no private attributes. Code that reads `private._parts.records` does so deliberately.
"""

from small_methods import MeanImage, pixels

from dpbench import METHODS

UNSEEN = True


@METHODS.register("mistake")
class Mistake(MeanImage):
    def fit(self, private, run):
        super().fit(private, run)
        self.mean = pixels(private._parts.records.batch(range(200))).mean(0)
