"""Weights each record by how often its class is in the batch, with 100 classes.

Weight classes by public constants, or by noisy counts that the plan pays for.
"""

from dataclasses import replace

import fakes
from small_methods import Denoiser
from torch.nn.functional import one_hot

from dpbench import DATASETS, METHODS

CAUGHT_BY = "probe"
REFUSED = "the loss of 'steps' mixes records"
DATASET = "hundred"


@DATASETS.register("hundred")
class Hundred(fakes.Tiny):
    @property
    def spec(self):
        return replace(super().spec, name="hundred", classes=tuple(f"class {i}" for i in range(100)))


@METHODS.register("mistake")
class Mistake(Denoiser):
    def loss(self, model, batch, generator):
        counts = one_hot(batch.labels, 100).sum(0)
        return super().loss(model, batch, generator) / counts[batch.labels]
