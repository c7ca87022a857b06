"""Uses spectral normalisation, which updates a buffer in every forward pass in train mode.

The buffer depends only on the weights, but it also counts the private passes. Call `layer.parametrizations.eval()`, and
update the buffer between the steps.
"""

from small_methods import Denoiser
from torch import nn

from dpbench import METHODS

CAUGHT_BY = "probe"
REFUSED = r"layer '0' updates its spectral norm in every pass; call parametrizations.eval\(\)"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def network(self):
        model = super().network()
        nn.utils.parametrizations.spectral_norm(model[0])
        return model
