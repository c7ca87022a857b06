"""Prints norms of activation gradients in a hook.

Print `p.grad` after a step's release: it is noisy.
"""

from small_methods import Denoiser

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = "reads a value that depends on records"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def loss(self, model, batch, generator):
        losses = super().loss(model, batch, generator)
        losses.register_hook(lambda gradient: print("gradient", gradient.norm().item()))
        model[1].register_full_backward_hook(self.show)
        return losses

    def show(self, layer, inputs, outputs):
        print("gradient", outputs[0].norm().item())  # the mistake
