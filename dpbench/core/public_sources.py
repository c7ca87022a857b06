"""Several public sources; the private images choose one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dpbench.core.data import ImageDataset
from dpbench.core.files import digest
from dpbench.core.specs import Batch, DatasetSpec


class PublicSources(ImageDataset):
    """Public sources that a trial may learn from. As a dataset, their concatenated images, without labels or captions.

    Args:
        name: name of all sources together.
        sources: name -> images, at least two sources, all of one shape.

    Attributes:
        sources: as above.
    """

    def __init__(self, name: str, sources: Mapping[str, ImageDataset]):
        self.sources = dict(sources)
        first = next(iter(self.sources.values())).spec
        self.spec = DatasetSpec(name, first.channels, first.resolution, len(self), 0, None, True)

    def __len__(self) -> int:
        return sum(map(len, self.sources.values()))

    def batch(self, indices: Sequence[int]) -> Batch:
        """See `ImageDataset.batch`."""
        import torch

        images, first = torch.zeros(len(indices), *self.spec.shape, dtype=torch.uint8), 0
        for source in self.sources.values():
            rows = [row for row, index in enumerate(indices) if first <= index < first + len(source)]
            if rows:
                found = source.batch([indices[row] - first for row in rows]).images
                assert found is not None
                images[rows] = found
            first += len(source)
        return Batch(images)

    @property
    def fingerprint(self) -> str:
        """A hash of all names and fingerprints."""
        return digest([self.spec.name, {name: source.fingerprint for name, source in self.sources.items()}])
