"""The control `coarse=real`: real tokens instead of sampled ones, an upper bound for any coarse stage."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dpbench.core.context import RunContext
from dpbench.core.errors import DpbenchError
from dpbench.models.image_range import unit_images
from dpbench.privacy.private_data import PrivateData

REASON = "coarse=real puts the tokens of real images into the output"
WITH_PROMPTS = f"{REASON}, which prompts do not choose"
"""Why a trial is unverified: without captions, and with captions."""


class RealTokens:
    """The tokens of all private records. Not private: the trial's accounting is marked unverified.

    Attributes:
        tokens: int64 [n, T], in the order of the coarse stage.
        labels: int64 [n]; all 0 without classes.
    """

    def __init__(self, tokens: Tensor, labels: Tensor):
        self.tokens = tokens
        self.labels = labels

    @classmethod
    def of(cls, private: PrivateData, encode: Callable[[Tensor], Tensor]) -> RealTokens:
        """Reads the tokens without a DP query."""
        vault = private.derive(lambda batch: encode(unit_images(batch)))
        records = vault.unsafe_records(WITH_PROMPTS if private.spec.condition == "captions" else REASON)
        batch = records.batch(range(len(records)))
        assert batch.derived is not None
        return cls(batch.derived, batch.class_rows)

    def sample(self, condition: Tensor | None, count: int, run: RunContext) -> Tensor:
        """The tokens of a random record for each label: int64 [count, T].

        Args:
            condition: labels int64 [count], or None. Captions [count, 1, length] are ignored: no record matches a
                prompt exactly.
            count: number of images.
            run: device and generator.

        Raises:
            DpbenchError: a class has no records.
        """
        wanted = torch.zeros(count, dtype=torch.long) if condition is None or condition.ndim > 1 else condition
        chosen = torch.empty(count, dtype=torch.long)
        for label in wanted.unique():
            at, records = (wanted == label).nonzero().squeeze(1), (self.labels == label).nonzero().squeeze(1)
            if not len(records):
                raise DpbenchError(f"coarse=real needs records of class {int(label)}, but there are none")
            chosen[at] = records[torch.randint(len(records), (len(at),), generator=run.generator)]
        return self.tokens[chosen].to(run.device)
