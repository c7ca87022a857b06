"""Looks up labels in a table that is too short from the fourth step on; torch's error message contains a label.

For data that is not declared public, only the type and line of an error inside the vault are shown.
"""

import torch
from small_methods import Denoiser

from dpbench import METHODS

CAUGHT_BY = "vault"
REFUSED = r"raised IndexError at labels_in_an_error.py:\d+; its message may contain private values and is not shown"
DATASET = "tiny:secret"


@METHODS.register("mistake")
class Mistake(Denoiser):
    weights = torch.ones(2)

    def loss(self, model, batch, generator):
        return self.weights[batch.labels] * super().loss(model, batch, generator)  # the mistake

    def fit(self, private, run):
        self.model = self.network()
        for receipt in private.dp_sgd("steps", self.model, self.loss, self.optimizer(), run.generator):
            if receipt.number == 3:
                self.weights = torch.ones(1)
