"""Trains two networks in turns by two steppers of one mechanism.

The ledger counts the steps of both together: they share the planned number.
"""

from small_methods import Denoiser

from dpbench import METHODS

ALLOWED = True


@METHODS.register("mistake")
class Mistake(Denoiser):
    def fit(self, private, run):
        self.model = self.network()
        first = private.dp_sgd("steps", self.model, self.loss, self.optimizer(), run.generator)
        second = private.dp_sgd("steps", self.network(), self.loss, self.optimizer(), run.generator)
        for _ in zip(first, second, strict=True):
            pass
