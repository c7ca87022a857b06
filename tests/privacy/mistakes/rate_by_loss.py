"""Halves the learning rate when the private loss stops falling.

Use a fixed learning rate schedule; `train` has one.
"""

import math

from small_methods import Denoiser

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = "reads a value that depends on records"


@METHODS.register("mistake")
class Mistake(Denoiser):
    lowest = math.inf

    def loss(self, model, batch, generator):
        losses = super().loss(model, batch, generator)
        if losses.mean() > self.lowest:  # the mistake
            self.groups[0]["lr"] /= 2
        else:
            self.lowest = losses.mean()
        return losses

    def fit(self, private, run):
        self.model = self.network()
        optimizer = self.optimizer()
        self.groups = optimizer.param_groups
        for _ in private.dp_sgd("steps", self.model, self.loss, optimizer, run.generator):
            pass
