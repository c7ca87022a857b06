"""Only the train split of another dataset, divided into train and test: for tuning without looking at test."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from dpbench.core.data import DataOptions, Dataset, ImageDataset
from dpbench.core.errors import DataError
from dpbench.core.specs import DatasetSpec
from dpbench.data.opening import HOLDOUT, canonical_name, open_dataset, overlapping

SHARE, MOST = 10, 5_000


class Holdout(Dataset):
    """The train split of another dataset alone, with a hold-out of it as test: `holdout:mnist`, for tuning

    Every tenth train record is held out, at most 5,000, evenly spaced. The other dataset's test split is never opened.
    Presets are those of the other dataset.
    """

    def __init__(self, argument: str, options: DataOptions):
        if not argument or argument.startswith(HOLDOUT):
            raise DataError("dataset 'holdout' needs the name of another dataset, e.g. holdout:mnist")
        super().__init__(self.canonical(argument), options)
        self.whole = open_dataset(argument, options)
        self.decodes_late = self.whole.decodes_late

    @classmethod
    def canonical(cls, argument: str) -> str:
        """See `Dataset.canonical`; that of the other dataset."""
        return canonical_name(argument)

    @classmethod
    def overlap(cls, argument: str, other: str) -> bool:
        """See `Dataset.overlap`; hold-outs overlap if the other datasets do."""
        return overlapping(argument, other)

    @property
    def origin(self) -> Dataset:
        """See `Dataset.origin`; the other dataset."""
        return self.whole

    @cached_property
    def spec(self) -> DatasetSpec:
        """See `Dataset.spec`."""
        whole = self.whole.spec
        held = _held_out(whole.n_train)
        return replace(whole, name=f"{HOLDOUT}{self.argument}", n_train=whole.n_train - held, n_test=held)

    def open_train(self) -> ImageDataset:
        """See `Dataset.open_train`; the records that are not held out."""
        return self._open(held_out=False)

    def open_test(self) -> ImageDataset:
        """See `Dataset.open_test`; the train records that are held out."""
        return self._open(held_out=True)

    def _open(self, held_out: bool) -> ImageDataset:
        import numpy as np

        from dpbench.data.arrays import Part, Subset

        train, n = self.whole.open_train(), self.whole.spec.n_train
        is_held = np.zeros(n, dtype=bool)
        is_held[np.linspace(0, n - 1, _held_out(n)).round().astype(np.int64)] = True
        part = np.flatnonzero(is_held == held_out)
        return Subset(train, part, self.spec) if held_out else Part(train, part, self.spec)


def _held_out(records: int) -> int:
    """The number of records held out.

    Raises:
        DataError: there are too few records.
    """
    if records < 2 * SHARE:
        raise DataError(f"a hold-out needs at least {2 * SHARE} train records, but there are {records}")
    return min(MOST, records // SHARE)
