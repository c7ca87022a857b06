"""Opens the dataset by name in `fit`, to compute its mean.

Private records are accessed only through `private`; plan a `NoisySum`.
"""

from pathlib import Path

from small_methods import MeanImage

from dpbench import DATASETS, METHODS, DataOptions

CAUGHT_BY = "seal"
REFUSED = "the sensitive dataset does not open while a method works; use `private`"


@METHODS.register("mistake")
class Mistake(MeanImage):
    def fit(self, private, run):
        super().fit(private, run)
        records = DATASETS.get("tiny")("", DataOptions(Path())).train()
        self.mean = self.mean - self.mean.mean() + records.batch(range(200)).images.float().mean() / 127.5 - 1
