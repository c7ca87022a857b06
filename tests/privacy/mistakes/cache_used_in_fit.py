"""Stores a result computed from a noisy sum in the public cache, where the next trial, with a smaller ε, finds it.

Keep it on `self`; the cache is for results of `prepare` computed from public images.
"""

from small_methods import MeanImage

from dpbench import METHODS

CAUGHT_BY = "seal"
REFUSED = "run.cache is open only in prepare"


@METHODS.register("mistake")
class Mistake(MeanImage):
    def fit(self, private, run):
        super().fit(private, run)
        self.mean = run.cache.get("mean", "smooth", lambda generator: {"mean": self.mean})["mean"]
