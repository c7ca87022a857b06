"""Subtracts the batch's mean loss, as REINFORCE does.

Subtract a constant, or a noisy mean that the plan pays for.
"""

from small_methods import Denoiser

from dpbench import METHODS

CAUGHT_BY = "probe"
REFUSED = "the loss of 'steps' mixes records"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def loss(self, model, batch, generator):
        losses = super().loss(model, batch, generator)
        return (losses - losses.detach().mean()) * losses
