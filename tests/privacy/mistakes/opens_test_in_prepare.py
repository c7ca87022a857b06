"""Opens the test split in `prepare`, to choose settings.

Choose on public images.
"""

from pathlib import Path

from small_methods import MeanImage

from dpbench import DATASETS, METHODS, DataOptions

CAUGHT_BY = "seal"
REFUSED = "no test split opens while a method works"


@METHODS.register("mistake")
class Mistake(MeanImage):
    def prepare(self, public, run):
        self.level = DATASETS.get("tiny")("", DataOptions(Path())).test().batch(range(40)).images.float().mean()
