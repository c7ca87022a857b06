"""Saves a batch with torch.save, for debugging.

Debug on public images.
"""

import torch
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
        torch.save(batch.images, self.folder / "batch.pt")  # the mistake
        return pixels(batch)
