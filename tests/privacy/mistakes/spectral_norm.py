"""Uses spectral normalisation, which writes a buffer at every pass in train mode.

What it writes follows from the weights alone, but a buffer that moves with private passes counts them. Normalise
between the steps, or use a clip on the critic's weights.
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
