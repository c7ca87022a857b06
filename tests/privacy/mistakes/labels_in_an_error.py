"""Stops in the middle of training with an error that shows a batch.

On data that are not declared public, of an error behind the vault only its type and line are shown.
"""

from small_methods import Denoiser

from dpbench import METHODS

CAUGHT_BY = "vault"
REFUSED = r"raised ValueError at labels_in_an_error.py:\d+; its message may hold private values and is not shown"
DATASET = "tiny:secret"


@METHODS.register("mistake")
class Mistake(Denoiser):
    step = 0

    def loss(self, model, batch, generator):
        if self.step == 3:
            raise ValueError(f"stopped to look at {batch.labels}")  # the mistake
        return super().loss(model, batch, generator)

    def fit(self, private, run):
        self.model = self.network()
        for receipt in private.dp_sgd("steps", self.model, self.loss, self.optimizer(), run.generator):
            self.step = receipt.number
