"""Calls its optimiser inside the loss.

Return the losses: `dp_sgd` steps the optimiser that it is given.
"""

import torch
from small_methods import Denoiser

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = "changes '0.weight'"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def loss(self, model, batch, generator):
        losses = super().loss(model, batch, generator)
        gradients = torch.autograd.grad(losses.mean(), list(model.parameters()), retain_graph=True)
        with torch.no_grad():
            for p, g in zip(model.parameters(), gradients, strict=True):
                p -= 0.01 * g  # the mistake
        return losses
