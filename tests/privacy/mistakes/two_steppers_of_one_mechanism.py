"""Trains two networks alternately with two steppers of one mechanism.

Plan a mechanism for each network: the inputs of a step are recorded, and must be the same when it is replayed.
"""

from small_methods import Denoiser

from dpbench import METHODS

CAUGHT_BY = "replay"
REFUSED = "step 1 of 'steps' starts from other values"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def fit(self, private, run):
        self.model = self.network()
        first = private.dp_sgd("steps", self.model, self.loss, self.optimizer(), run.generator)
        second = private.dp_sgd("steps", self.network(), self.loss, self.optimizer(), run.generator)
        for _ in zip(first, second, strict=True):
            pass
