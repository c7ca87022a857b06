"""Counts the rows passed to its loss.

Batches are padded, so the count reveals only the number of micro-batches: a little about the realised batch size.
"""

from small_methods import Denoiser

from dpbench import METHODS

UNSEEN = True


@METHODS.register("mistake")
class Mistake(Denoiser):
    rows = 0

    def loss(self, model, batch, generator):
        self.rows += len(batch)
        return super().loss(model, batch, generator)
