"""Divides the loss by the size of the batch.

`len(batch)` is the size of the padded micro-batch, a public constant, not the batch size: scale by the expected batch
size.
"""

from small_methods import Denoiser

from dpbench import METHODS

ALLOWED = True


@METHODS.register("mistake")
class Mistake(Denoiser):
    def loss(self, model, batch, generator):
        return super().loss(model, batch, generator) / len(batch)
