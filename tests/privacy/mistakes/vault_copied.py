"""Copies itself with its vault, to keep an earlier state.

Copy `state_dict()`: two copies of a vault would draw the same noise.
"""

import copy

from small_methods import MeanImage

from dpbench import METHODS

CAUGHT_BY = "vault"
REFUSED = "a noise key cannot be copied"


@METHODS.register("mistake")
class Mistake(MeanImage):
    def fit(self, private, run):
        self.private = private
        self.before = copy.deepcopy(self)
        super().fit(private, run)
