"""Trains on shuffled batches from `unsafe_records`, but is accounted for as Poisson samples.

The row is unverified. Let `dp_sgd` draw the batches.
"""

import math

import torch
from small_methods import Denoiser

from dpbench import METHODS

CAUGHT_BY = "row"
MARKED = {"accounting": "unverified", "epsilon_spent": math.nan}


@METHODS.register("mistake")
class Mistake(Denoiser):
    def fit(self, private, run):
        super().fit(private, run)
        records, optimizer = private.unsafe_records("shuffled batches"), self.optimizer()
        for indices in torch.randperm(len(records), generator=run.generator).split(20):
            optimizer.zero_grad()
            self.loss(self.model, records.batch(indices.tolist()), run.generator).mean().backward()
            optimizer.step()
