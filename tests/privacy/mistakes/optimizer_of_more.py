"""Passes parameters to its optimiser that the loss does not use.

They have no gradient, so they do not depend on records.
"""

import torch
from small_methods import Denoiser

from dpbench import METHODS

ALLOWED = True


@METHODS.register("mistake")
class Mistake(Denoiser):
    def optimizer(self):
        unused = torch.nn.Parameter(torch.ones(3))
        return torch.optim.SGD([*self.model.parameters(), unused], lr=0.1)
