"""Divides the losses by their norm over the batch.

Per-record clipping already bounds each gradient.
"""

from small_methods import Denoiser

from dpbench import METHODS

CAUGHT_BY = "probe"
REFUSED = "the loss of 'steps' mixes records"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def loss(self, model, batch, generator):
        losses = super().loss(model, batch, generator)
        return losses / losses.detach().norm()
