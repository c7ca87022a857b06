"""The downsampled ImageNet (Chrabaszcz et al. 2017), 32×32 and 64×64."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dpbench.core.data import ImageDataset
from dpbench.core.errors import DataError
from dpbench.core.specs import DatasetSpec
from dpbench.data.declared import CountedDataset

if TYPE_CHECKING:
    from dpbench.data.image_batches import ImageBatches

FILES = {True: tuple(f"train_data_batch_{number}" for number in range(1, 11)), False: ("val_data",)}
"""Whether a split is train -> the names of its files, which may end with .npz."""


class DownsampledImageNet(CountedDataset):
    """ImageNet in batches of arrays, in `<root>/<name>/`: `train_data_batch_1` to `_10` and `val_data`.

    The files are pickles, read without running code that they may contain, or .npz files. The test split is `val`. The
    published labels are 1 to 1000 in their own order, which is not that of `imagenet`; the classes are named by these
    numbers. At resolutions other than that of the files, images are resized (bicubic, antialiased). The counts are
    those of the files, with a warning if they are not the published ones.

    Raises (from `train` and `test`):
        DataError: a file is missing or damaged, or there are no records.
    """

    channels = 3
    n_train = 1_281_167
    n_test = 50_000
    classes = tuple(map(str, range(1, 1001)))
    decodes_late = True

    @classmethod
    def collections(cls, argument: str) -> frozenset[str]:
        """See `Dataset.collections`."""
        return frozenset({"imagenet"})

    @property
    def _where(self) -> str:
        side = type(self).resolution
        return f"unpack Imagenet{side}_train.zip and Imagenet{side}_val.zip into {self.folder}"

    def open_train(self) -> ImageDataset:
        """See `Dataset.open_train`."""
        return self._open(train=True)

    def open_test(self) -> ImageDataset:
        """See `Dataset.open_test`."""
        return self._open(train=False)

    def _open(self, train: bool) -> ImageDataset:
        from dpbench.data.arrays import Converted
        from dpbench.data.pixels import resize
        from dpbench.data.resized_copy import COPIES, ResizedCopy

        batches, name = self._batches(self.spec, train), f"{self.name}-{'train' if train else 'test'}"
        copy = ResizedCopy(batches, self.options.cache / COPIES, name, self.options.progress)
        size = self.size
        return copy if size == copy.spec.resolution else Converted(copy, self.spec, lambda i: resize(i, size), "resize")

    def _count(self, train: bool) -> int:
        return len(self._batches(self.published, train))

    def _batches(self, spec: DatasetSpec, train: bool) -> ImageBatches:
        """The files of a split, which has records."""
        of_files, files = replace(spec, resolution=type(self).resolution), [self._file(name) for name in FILES[train]]
        from dpbench.data.image_batches import ImageBatches  # imports torch, which missing files do not need
        from dpbench.data.resized_copy import COPIES

        batches = ImageBatches(of_files, files, self.options.cache / COPIES, self._where)
        if not len(batches):
            raise DataError(f"{self.folder} has no {'train' if train else 'test'} images: {self._where}")
        return batches

    def _file(self, name: str) -> Path:
        for path in (self.folder / name, self.folder / f"{name}.npz"):
            if path.is_file():
                return path
        raise DataError(f"{self.folder / name} is missing: {self._where}")


class ImageNet32(DownsampledImageNet):
    """ImageNet downsampled to 32×32 colour, 1,281,167 + 50,000, from the published batches (Chrabaszcz et al. 2017)

    Reads `<root>/imagenet32/train_data_batch_1` to `_10` and `val_data`, or these as .npz files.
    """

    name = "imagenet32"
    resolution = 32


class ImageNet64(DownsampledImageNet):
    """ImageNet downsampled to 64×64 colour, 1,281,167 + 50,000, from the published batches (Chrabaszcz et al. 2017)

    Reads `<root>/imagenet64/train_data_batch_1` to `_10` and `val_data`, or these as .npz files.
    """

    name = "imagenet64"
    resolution = 64
