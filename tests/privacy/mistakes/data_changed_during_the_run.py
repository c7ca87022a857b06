"""Changes the dataset's files while the method trains.

Do not change the files until the run is finished; the trial is discarded.
"""

from dataclasses import replace

import fakes
from small_methods import MeanImage

from dpbench import DATASETS, METHODS

CAUGHT_BY = "row"
REFUSED = "'moving' changed while a trial learned from it"
DATASET = "moving"


@DATASETS.register("moving")
class Moving(fakes.Tiny):
    @property
    def spec(self):
        return replace(super().spec, name="moving")

    def open_train(self):
        file = self.options.root / "seed"
        return fakes.TinyImages(self.spec, 200, int(file.read_text()) if file.exists() else 0)


@METHODS.register("mistake")
class Mistake(MeanImage):
    data = None

    def fit(self, private, run):
        super().fit(private, run)
        (self.data / "seed").write_text("1")


def attempt(run):
    Mistake.data = run.keywords["data"]
    return run()
