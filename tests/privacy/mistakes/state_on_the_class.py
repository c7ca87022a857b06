"""Keeps its result on the class, where a trial with a smaller ε finds it.

Keep it on `self`.
"""

from small_methods import MeanImage

from dpbench import METHODS

CAUGHT_BY = "seal"
REFUSED = "which the next trial would start with; keep it on self"


@METHODS.register("mistake")
class Mistake(MeanImage):
    best = None

    def fit(self, private, run):
        super().fit(private, run)
        type(self).best = self.mean
