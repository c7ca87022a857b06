"""Uses weight decay in private steps.

It follows from the weights alone, which are released anyway.
"""

import torch
from small_methods import Denoiser

from dpbench import METHODS

ALLOWED = True


@METHODS.register("mistake")
class Mistake(Denoiser):
    def optimizer(self):
        return torch.optim.AdamW(self.model.parameters(), lr=1e-3, weight_decay=0.1)
