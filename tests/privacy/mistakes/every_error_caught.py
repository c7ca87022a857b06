"""Catches every error in its loss, and returns zeros instead.

Do not catch errors: whether a loss fails may depend on records.
"""

import torch
from small_methods import Denoiser

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = "reads a value that depends on records"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def loss(self, model, batch, generator):
        try:
            losses = super().loss(model, batch, generator)
            assert losses.isfinite().all()  # the mistake
            return losses
        except Exception:
            return 0 * sum(p.sum() for p in model.parameters()) + torch.zeros(len(batch))
