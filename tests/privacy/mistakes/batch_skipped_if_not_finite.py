"""Skips a batch in which a loss is not finite.

Return the losses unchanged: a record whose gradient is not finite counts as zero; the others still count.
"""

from small_methods import Denoiser

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = "reads a value that depends on records"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def loss(self, model, batch, generator):
        losses = super().loss(model, batch, generator)
        return losses if losses.isfinite().all() else 0 * losses  # the mistake
