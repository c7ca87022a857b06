"""Keeps the last batch's loss as a tensor, to plot it after the training.

Un-noised statistics are releases. Plot what a public batch loses.
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
