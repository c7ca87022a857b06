"""Drops the labels of the first tenth of the rows, for classifier-free guidance.

Rows are drawn by a secret permutation over a fixed number of slots, so no record affects another record's row.
"""

import torch
from small_methods import Denoiser

from dpbench import METHODS

ALLOWED = True


@METHODS.register("mistake")
class Mistake(Denoiser):
    def loss(self, model, batch, generator):
        known = torch.arange(len(batch)) >= len(batch) // 10
        sign = torch.where(known & (batch.labels == 0), -1.0, 1.0)
        return super().loss(model, batch, generator) * (1 + 0.1 * sign)
