"""Public records in place of sensitive ones: the only records over which anything un-noised is measured."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from dpbench.core.data import ImageDataset
from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch, DatasetSpec


class StandIn(ImageDataset):
    """Public records in place of sensitive ones: as many, of the same shape, with labels of the same range.

    They are repeated where they are fewer. Labels are the public ones modulo the number of classes; records without
    labels get random ones, the same every time.

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
        self._labels = torch.randint(max(1, spec.n_classes), (len(public),), generator=draws)

    def __len__(self) -> int:
        return self.spec.n_train

    def batch(self, indices: Sequence[int]) -> Batch:
        """See `ImageDataset.batch`."""
        chosen = [i % len(self._public) for i in indices]
        batch = self._public.batch(chosen)
        labels = self._labels[chosen] if batch.labels is None else batch.labels % max(1, self.spec.n_classes)
        return Batch(batch.images, labels if self.spec.classes else None)

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
