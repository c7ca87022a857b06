"""Pastes a part of another record into each image (cutmix).

Paste from public images, or use views of one record.
"""

from small_methods import Denoiser, pixels

from dpbench import METHODS

CAUGHT_BY = "probe"
REFUSED = "the loss of 'steps' mixes records"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def loss(self, model, batch, generator):
        images = pixels(batch).clone()
        images[..., :8, :8] = pixels(batch).roll(1, 0)[..., :8, :8]
        return (model(images) - images).square().mean((1, 2, 3))
