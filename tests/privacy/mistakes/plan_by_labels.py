"""Reads label counts in `plan`, when it is called again for the calibration.

A plan may depend only on `spec` and the settings. Plan a `NoisySum` for the counts.
"""

from pathlib import Path

from small_methods import MeanImage

from dpbench import DATASETS, METHODS, DataOptions, NoisySum, Plan

CAUGHT_BY = "seal"
REFUSED = "no dataset opens while a method is made, plans or returns its state"
CALLS = []


@METHODS.register("mistake")
class Mistake(MeanImage):
    @classmethod
    def plan(cls, config, spec, request):
        CALLS.append(request)
        clip = 16.0
        if len(CALLS) > 1:
            records = DATASETS.get("tiny")("", DataOptions(Path())).train()
            clip = float(records.batch(range(len(records))).labels.sum()) / 10
        return Plan(NoisySum(name="sum", clip=clip))
