"""my-dataset: generated stripes, horizontal or vertical. Replace them with your images.

Images that fit into memory need no class of their own: return `dpbench.ArrayDataset(spec, images, labels)`. For a
folder of image files no plugin is needed: `--dataset folder:PATH`.
"""

import torch

from dpbench import DATASETS, Batch, Dataset, DatasetSpec, ImageDataset

WIDTH = 4
"""Pixels per stripe."""


class Stripes(ImageDataset):
    """One split. Each record depends on its number alone, so it is generated when it is read."""

    def __init__(self, spec: DatasetSpec, first: int, count: int):
        self.spec, self.first, self.count = spec, first, count

    def __len__(self) -> int:
        return self.count

    def batch(self, indices) -> Batch:
        """The records at `indices`: images uint8 [b, c, h, w] and labels int64 [b]."""
        numbers = torch.as_tensor(list(indices), dtype=torch.int64) + self.first
        labels = numbers % 2
        place = torch.arange(self.spec.resolution)
        dark = ((place + numbers[:, None] // 2) // WIDTH % 2).to(torch.uint8)  # [b, side], shifted by the number
        rows = 64 + 128 * dark[:, None, :, None].expand(-1, *self.spec.shape)
        return Batch(torch.where(labels[:, None, None, None] == 0, rows, rows.mT), labels)

    @property
    def fingerprint(self) -> str:
        """Changes with content, order, resolution and split."""
        return f"my-dataset-1-{self.spec.resolution}-{self.first}-{self.count}"


@DATASETS.register("my-dataset")
class MyDataset(Dataset):
    """Horizontal and vertical stripes, 32×32 grey, generated"""

    @property
    def spec(self) -> DatasetSpec:
        """The public declaration; reads no file."""
        return DatasetSpec(
            name="my-dataset",
            channels=1,
            resolution=self.options.resolution or 32,
            n_train=4000,
            n_test=1000,
            classes=("horizontal", "vertical"),
            public_benchmark=True,  # False for images of people who did not agree to publication
        )

    def open_train(self) -> ImageDataset:
        """The sensitive split."""
        return Stripes(self.spec, first=0, count=4000)

    def open_test(self) -> ImageDataset:
        """The split that only the evaluation reads."""
        return Stripes(self.spec, first=4000, count=1000)
