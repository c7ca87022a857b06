"""Keeps the cache of `prepare` on `self` and uses it in `fit`, keyed by private images.

Keep what `fit` computes on `self`.
"""

from small_methods import MeanImage, pixels

from dpbench import METHODS

CAUGHT_BY = "seal"
REFUSED = "run.cache is open only in prepare"


@METHODS.register("mistake")
class Mistake(MeanImage):
    def prepare(self, public, run):
        self.cache = run.cache

    def contribution(self, batch):
        features = self.cache.get("features", len(batch), lambda generator: {"x": pixels(batch)})
        return features["x"]
