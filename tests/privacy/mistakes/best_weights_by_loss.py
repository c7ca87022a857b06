"""Keeps the weights of the step with the lowest batch loss.

Keep the last weights, or a moving average; choosing by private records needs a planned `NoisySum` (see plugins.md).
"""

import copy
import math

from small_methods import Denoiser

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = "reads a value that depends on records"


@METHODS.register("mistake")
class Mistake(Denoiser):
    best = math.inf

    def loss(self, model, batch, generator):
        losses = super().loss(model, batch, generator)
        if losses.mean() < self.best:  # the mistake
            self.best = losses.mean()
            self.best_weights = copy.deepcopy(model.state_dict())
        return losses

    def fit(self, private, run):
        super().fit(private, run)
        self.model.load_state_dict(self.best_weights)
