"""Keeps a batch for a preview, and samples from it.

Preview samples from fixed noise.
"""

from small_methods import Denoiser, to_images

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = "keeps a tensor that depends on records"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def loss(self, model, batch, generator):
        self.preview = batch.images / 127.5 - 1  # the mistake
        return super().loss(model, batch, generator)

    def sample(self, conditions, run):
        start = self.preview[[i % len(self.preview) for i in range(conditions.count)]]
        return to_images(self.model(start))
