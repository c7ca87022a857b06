"""Weights the rows of a batch from 0 to 1.

Rows are drawn by a secret permutation over a fixed number of slots, so no record affects another record's row.
"""

import torch
from small_methods import Denoiser

from dpbench import METHODS

ALLOWED = True


@METHODS.register("mistake")
class Mistake(Denoiser):
    def loss(self, model, batch, generator):
        return torch.linspace(0, 1, len(batch)) * super().loss(model, batch, generator)
