"""Keeps the last batch's loss as a tensor, to plot it after training.

Statistics without noise are releases. Plot the loss on a public batch.
"""

from small_methods import Denoiser

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = "keeps a tensor that depends on records"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def loss(self, model, batch, generator):
        losses = super().loss(model, batch, generator)
        self.last = losses.detach().mean()  # the mistake
        return losses
