"""Public records in place of sensitive ones: the only records on which anything is measured without noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from dpbench.core.data import ImageDataset
from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch, DatasetSpec
from dpbench.privacy.checks.probes import synthetic_conditions


class StandIn(ImageDataset):
    """Public records in place of sensitive ones: the same number, shape, and kind of labels or captions.

    Public records are repeated if there are fewer. Labels are the public ones modulo the number of classes; captions
    are the public ones, padded or cut to the declared length. Records without labels or captions get random ones, the
    same every time.

    Args:
        public: public images of the sensitive images' shape.
        spec: what the sensitive dataset declares.

    Attributes:
        distinct: number of different records; the first `distinct` positions hold them.

    Raises:
        PrivacyError: `public` is the sensitive dataset itself.
    """

    def __init__(self, public: ImageDataset, spec: DatasetSpec):
        if public.spec.name == spec.name:
            raise PrivacyError(f"'{spec.name}' is sensitive and cannot stand in for itself; choose another public set")
        self.spec = spec
        self.distinct = min(len(public), spec.n_train)
        self._public = public
        draws = torch.Generator().manual_seed(0)
        self._synthetic = synthetic_conditions(spec, len(public), draws)

    def __len__(self) -> int:
        return self.spec.n_train

    def batch(self, indices: Sequence[int]) -> Batch:
        """See `ImageDataset.batch`."""
        chosen = [i % len(self._public) for i in indices]
        batch = self._public.batch(chosen)
        return replace(batch, condition=self._condition(batch, chosen))

    def _condition(self, batch: Batch, chosen: list[int]) -> Tensor | None:
        """The public records' labels or captions where they are of the declared kind, otherwise synthetic ones."""
        if self.spec.n_classes and batch.labels is not None:
            return batch.labels % self.spec.n_classes
        if self.spec.caption_bytes and batch.captions is not None:
            return pad(batch.captions, (0, self.spec.caption_bytes - batch.captions.shape[1]))
        return None if self._synthetic is None else self._synthetic[chosen]

    @property
    def fingerprint(self) -> str:
        """That of the public records."""
        return self._public.fingerprint


def require_stand_in(records: ImageDataset, kind: type[StandIn] = StandIn) -> None:
    """Refuses to measure anything over other records.

    Raises:
        PrivacyError: the records are of another type.
    """
    if not isinstance(records, kind):
        raise PrivacyError(f"measurements need public records ({kind.__name__}), not {type(records).__name__}")
