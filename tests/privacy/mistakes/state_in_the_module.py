"""Collects results in a module-level list, where a trial with a smaller ε finds them.

Keep them on `self`.
"""

from small_methods import MeanImage

from dpbench import METHODS

CAUGHT_BY = "seal"
REFUSED = "which the next trial would start with; keep it on self"
MEANS = []


@METHODS.register("mistake")
class Mistake(MeanImage):
    def fit(self, private, run):
        super().fit(private, run)
        MEANS.append(self.mean)
