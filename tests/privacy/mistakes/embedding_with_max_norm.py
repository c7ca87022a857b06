"""Embeds labels with `max_norm`, which rescales the embeddings of the labels in the batch.

Leave `max_norm` out, or divide by the norm in the forward pass.
"""

from small_methods import Denoiser, pixels
from torch import nn

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = "changes 'weight'"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def network(self):
        return nn.Embedding(2, self.spec.resolution**2, max_norm=1.0)

    def loss(self, model, batch, generator):
        return (model(batch.labels) - pixels(batch).flatten(1)).square().mean(1)  # the mistake
