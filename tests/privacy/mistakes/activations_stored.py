"""Stores activations in a forward hook.

Store activations of public images, after the last step.
"""

from small_methods import Denoiser

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = "keeps a tensor that depends on records"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def network(self):
        model = super().network()
        model[0].register_forward_hook(self.keep)
        return model

    def keep(self, layer, inputs, output):
        self.activation = output.detach().abs().mean((0, 2, 3))  # the mistake
