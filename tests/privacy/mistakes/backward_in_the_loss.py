"""Calls backward in the loss, to inspect the gradients.

Inspect gradients of public images; `dpbench privacy METHOD --propose` measures them.
"""

from small_methods import Denoiser

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = "keeps a tensor that depends on records"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def loss(self, model, batch, generator):
        losses = super().loss(model, batch, generator)
        losses.mean().backward(retain_graph=True)  # the mistake
        return losses
