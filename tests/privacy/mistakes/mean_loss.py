"""Returns the mean loss of the batch.

Return one loss per row; the vault averages.
"""

from small_methods import Denoiser

from dpbench import METHODS

CAUGHT_BY = "probe"
REFUSED = "must give one value per row"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def loss(self, model, batch, generator):
        return super().loss(model, batch, generator).mean()
