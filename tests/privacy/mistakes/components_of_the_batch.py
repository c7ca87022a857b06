"""Projects images on the principal components of the batch.

Use the principal components of public images.
"""

import torch
from small_methods import MeanImage, pixels

from dpbench import METHODS

CAUGHT_BY = "probe"
REFUSED = "the contribution of 'sum' mixes records"


@METHODS.register("mistake")
class Mistake(MeanImage):
    def contribution(self, batch):
        flat = pixels(batch).flatten(1)
        components = torch.linalg.svd(flat, full_matrices=False).Vh[:8]
        return (flat @ components.T @ components).reshape(len(batch), *self.spec.shape)
