"""Uses spectral normalisation, which updates a buffer in every forward pass in train mode.

The buffer depends only on the weights, but it also counts the private passes. Normalise between the steps, or clip the
critic's weights.
"""

from small_methods import Denoiser
from torch import nn

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = "changes '0.parametrizations.weight.0._u'"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def network(self):
        model = super().network()
        nn.utils.parametrizations.spectral_norm(model[0])
        return model
