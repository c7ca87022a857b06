"""Stops before the plan is used up, because the model is good enough.

Plan fewer steps: noise is calibrated for the planned steps, and choosing when to stop depends on private data.
"""

from small_methods import Denoiser

from dpbench import METHODS

CAUGHT_BY = "ledger"
REFUSED = "fit must use up its plan exactly"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def fit(self, private, run):
        self.model = self.network()
        optimizer = self.optimizer()
        for receipt in private.dp_sgd("steps", self.model, self.loss, optimizer, run.generator):
            if receipt.number == 4:
                break
