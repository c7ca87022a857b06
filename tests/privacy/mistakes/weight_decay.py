"""Uses weight decay in private steps.

It depends only on the weights, which are released.
"""

import torch
from small_methods import Denoiser

from dpbench import METHODS

ALLOWED = True


@METHODS.register("mistake")
class Mistake(Denoiser):
    def optimizer(self):
        return torch.optim.AdamW(self.model.parameters(), lr=1e-3, weight_decay=0.1)
