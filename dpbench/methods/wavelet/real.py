"""The control `coarse=real`: real tokens in place of drawn ones, the ceiling of what a coarse stage can reach."""

from __future__ import annotations

import torch
from torch import Tensor

from dpbench.core.context import RunContext
from dpbench.core.errors import DpbenchError
from dpbench.methods.wavelet.coarse import CoarseStage
from dpbench.privacy.private_data import PrivateData
from dpbench.training.public import unit_images

REASON = "coarse=real puts the tokens of real images into the output"


class RealTokens:
    """The tokens of all private records, to draw from. No privacy at all: the trial becomes unverified.

    Attributes:
        tokens: int64 [n, T], coarsest scale first.
        labels: int64 [n]; all 0 without classes.
    """

    def __init__(self, tokens: Tensor, labels: Tensor):
        self.tokens = tokens
        self.labels = labels

    @classmethod
    def of(cls, private: PrivateData, stage: CoarseStage) -> RealTokens:
        """Reads them past the DP queries."""
        vault = private.derive(lambda batch: stage.in_scale_order(stage.encode(unit_images(batch))))
        records = vault.unsafe_records(REASON)
        batch = records.batch(range(len(records)))
        assert batch.derived is not None
        labels = torch.zeros(len(batch), dtype=torch.long) if batch.labels is None else batch.labels
        return cls(batch.derived, labels)

    def sample(self, labels: Tensor | None, count: int, run: RunContext) -> Tensor:
        """The tokens of one random record of each label: int64 [count, T]."""
        wanted = torch.zeros(count, dtype=torch.long) if labels is None else labels
        chosen = torch.empty(count, dtype=torch.long)
        for label in wanted.unique():
            at, records = (wanted == label).nonzero().squeeze(1), (self.labels == label).nonzero().squeeze(1)
            if not len(records):
                raise DpbenchError(f"coarse=real has no record of class {int(label)} to draw from")
            chosen[at] = records[torch.randint(len(records), (len(at),), generator=run.generator)]
        return self.tokens[chosen].to(run.device)
