"""Trains a second network with a mechanism that is already used up.

Plan a mechanism for each network.
"""

from small_methods import Denoiser

from dpbench import METHODS

CAUGHT_BY = "ledger"
REFUSED = "all 6 planned releases of 'steps' are spent"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def fit(self, private, run):
        super().fit(private, run)
        super().fit(private, run)
