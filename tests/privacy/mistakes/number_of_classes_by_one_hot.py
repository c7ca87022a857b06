"""Lets `one_hot` infer the number of classes.

State the number: `one_hot(labels, self.spec.n_classes)`.
"""

from small_methods import MeanImage, pixels
from torch.nn.functional import one_hot

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = "reads a value that depends on records"


@METHODS.register("mistake")
class Mistake(MeanImage):
    def contribution(self, batch):
        place = one_hot(batch.labels).float()  # the mistake
        return place[..., None, None, None] * pixels(batch)[:, None]
