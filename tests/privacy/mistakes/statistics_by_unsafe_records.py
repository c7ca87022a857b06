"""Computes normalisation statistics from `unsafe_records`, on data that is not declared public.

The row is unverified and shows no ε spent, and the samples stay in `sensitive/`. Plan a `NoisySum`.
"""

import math

from small_methods import MeanImage, pixels

from dpbench import METHODS

CAUGHT_BY = "row"
MARKED = {"accounting": "unverified", "epsilon_spent": math.nan}
DATASET = "tiny:secret"


@METHODS.register("mistake")
class Mistake(MeanImage):
    def fit(self, private, run):
        super().fit(private, run)
        records = private.unsafe_records("mean and spread of the images")
        images = pixels(records.batch(range(len(records))))
        self.mean = (self.mean - images.mean()) / images.std()


def attempt(run):
    rows = run()
    out = run.keywords["out"]
    assert {path.parent.parent.name for path in out.rglob("*.npy")} == {"sensitive"}
    return rows
