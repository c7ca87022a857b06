"""Trains a parameter that is not part of the model passed to `dp_sgd`.

Put it into the model, so that its gradient is clipped and noised.
"""

import torch
from small_methods import Denoiser

from dpbench import METHODS

CAUGHT_BY = "probe"
REFUSED = "the loss trains something outside the model"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def optimizer(self):
        self.scale = torch.nn.Parameter(torch.ones(()))
        return torch.optim.SGD([*self.model.parameters(), self.scale], lr=0.1)

    def loss(self, model, batch, generator):
        return self.scale * super().loss(model, batch, generator)
