"""Adds batch normalisation to the network between two steps.

Change layers before `dp_sgd`, or call it again.
"""

from small_methods import Denoiser
from torch import nn

from dpbench import METHODS

CAUGHT_BY = "vault"
REFUSED = "layer '1' of the model changed after dp_sgd was called"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def fit(self, private, run):
        self.model = self.network()
        for receipt in private.dp_sgd("steps", self.model, self.loss, self.optimizer(), run.generator):
            if receipt.number == 3:
                self.model[1] = nn.BatchNorm2d(4, affine=False)
