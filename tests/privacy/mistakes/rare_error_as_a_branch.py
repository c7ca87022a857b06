"""Takes another branch if a record's covariance has no Cholesky factor, which never happens for synthetic records.

Catching an error makes a decision that depends on records. Use `cholesky_ex`, which does not raise, and a larger
constant on the diagonal.
"""

import torch
from small_methods import MeanImage, pixels

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = "reads a value that depends on records"


@METHODS.register("mistake")
class Mistake(MeanImage):
    def contribution(self, batch):
        images = pixels(batch)
        try:
            return torch.linalg.cholesky(images @ images.mT + 0.01 * torch.eye(self.spec.resolution))  # the mistake
        except RuntimeError:
            return images
