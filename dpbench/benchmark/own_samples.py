"""Samples that dpbench wrote itself, scored like images from another program."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from dpbench.core.errors import DataError
from dpbench.core.specs import DatasetSpec
from dpbench.data.external.generated import Generated, Images
from dpbench.data.opening import open_generated
from dpbench.results.image_export import exported_files
from dpbench.results.samples import CONDITIONS, StoredSamples
from dpbench.results.trial_folder import SAMPLES, SENSITIVE


def open_images(path: Path, spec: DatasetSpec) -> Generated:
    """Images that imitate a dataset: samples that dpbench wrote, or anything that `open_generated` reads.

    Args:
        path: a trial's folder, its folder of samples, a folder that `dpbench sample` wrote, or images from another
            program.
        spec: the dataset's declaration.

    Raises:
        DataError: the path does not exist or cannot be read, or the images do not fit the dataset.
    """
    places = (path, path / SAMPLES, path / SENSITIVE / SAMPLES)
    stored = next((place for place in places if os.path.isfile(place / CONDITIONS)), None)
    if stored:
        return OwnSamples(stored, spec)
    exported = exported_files(path)
    return open_generated(exported.arrays if all(map(os.path.exists, exported)) else path, spec)


class OwnSamples(Generated):
    """The shards of a folder of samples, with the labels that they were sampled with.

    Raises:
        DataError: a file is missing or damaged, or the samples do not have the dataset's shape or classes.
    """

    def __init__(self, path: Path, spec: DatasetSpec):
        super().__init__(path, spec)
        self._samples = StoredSamples(path, spec)
        self.labels = self._samples.labels if spec.classes else None
        if self.labels is not None and self.labels.max() >= spec.n_classes:
            raise DataError(
                f"{path} was sampled with {self.labels.max() + 1} classes, but {spec.name} has {spec.n_classes}"
            )
        if self.labels is None and self._samples.conditions.condition is not None:
            self._remark(f"labels or prompts of the samples were ignored, as {spec.name} has no classes")

    def __len__(self) -> int:
        return len(self._samples)

    def _read(self, rows: int) -> Iterator[Images]:
        for start in range(0, len(self), rows):
            images = self._samples.batch(range(start, min(start + rows, len(self)))).images
            assert images is not None
            yield images.numpy()
