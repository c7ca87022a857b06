"""Writes the first images of a batch into the trial's folder.

Write synthetic images; `samples.png` is written in any case.
"""

import numpy as np
from small_methods import MeanImage, pixels

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = "reads a value that depends on records"


@METHODS.register("mistake")
class Mistake(MeanImage):
    def fit(self, private, run):
        self.folder = run.folder
        super().fit(private, run)

    def contribution(self, batch):
        np.save(self.folder / "examples.npy", batch.images[:4])  # the mistake
        return pixels(batch)
