"""Attends over records, because it treats the first dimension of its input as the sequence.

Put the sequence into the second dimension (`batch_first=True`).
"""

from small_methods import Denoiser, pixels
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from dpbench import METHODS

CAUGHT_BY = "probe"
REFUSED = "mixes records"


class Attention(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.projections = nn.ModuleList(nn.Linear(size, size) for _ in range(3))

    def forward(self, x):  # [places, features]
        return scaled_dot_product_attention(*(projection(x)[None] for projection in self.projections))[0]


@METHODS.register("mistake")
class Mistake(Denoiser):
    def network(self):
        return Attention(self.spec.resolution**2)

    def loss(self, model, batch, generator):
        images = pixels(batch).flatten(1)
        return (model(images) - images).square().mean(1)
