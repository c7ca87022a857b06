"""Derives features of the records in `sample`, to select the samples nearest to them.

The vault is open only in `fit`. Select by what `fit` has released.
"""

from small_methods import MeanImage, pixels

from dpbench import METHODS

CAUGHT_BY = "vault"
REFUSED = "the vault is closed"


@METHODS.register("mistake")
class Mistake(MeanImage):
    def fit(self, private, run):
        self.private = private
        super().fit(private, run)

    def sample(self, conditions, run):
        self.features = self.private.derive(pixels)
        return super().sample(conditions, run)
