"""A complete dataset in one file: generated stripes, horizontal or vertical.

dpbench run --plugin plugin_stripes.py --dataset stripes:4 --method wavelet
"""

import torch

from dpbench import DATASETS, Batch, Dataset, DatasetSpec, DpbenchError, ImageDataset


class Stripes(ImageDataset):
    """One split. Each record depends on its number alone, so it is made when it is read."""

    def __init__(self, spec: DatasetSpec, width: int, first: int, count: int):
        self.spec, self.width, self.first, self.count = spec, width, first, count

    def __len__(self) -> int:
        return self.count

    def batch(self, indices) -> Batch:
        numbers = torch.as_tensor(list(indices), dtype=torch.int64) + self.first
        labels = numbers % 2
        place = torch.arange(self.spec.resolution)
        dark = ((place + numbers[:, None] // 2) // self.width % 2).to(torch.uint8)  # [b, side], shifted by the number
        rows = 64 + 128 * dark[:, None, :, None].expand(-1, *self.spec.shape)
        return Batch(torch.where(labels[:, None, None, None] == 0, rows, rows.mT), labels)

    @property
    def fingerprint(self) -> str:
        return f"stripes-1-{self.spec.resolution}-{self.width}-{self.first}-{self.count}"


@DATASETS.register("stripes")
class StripesDataset(Dataset):
    """Horizontal and vertical stripes, 32×32 grey, generated; stripes:WIDTH sets their width in pixels"""

    @classmethod
    def overlap(cls, argument: str, other: str) -> bool:
        return True  # stripes of another width are not independent enough to be public beside these

    @property
    def spec(self) -> DatasetSpec:
        return DatasetSpec(
            name=f"stripes:{self.width}",
            channels=1,
            resolution=self.options.resolution or 32,
            n_train=4000,
            n_test=1000,
            classes=("horizontal", "vertical"),
            public_benchmark=True,
        )

    @property
    def width(self) -> int:
        if not (self.argument or "4").isdigit() or self.argument == "0":
            raise DpbenchError(f"stripes:WIDTH needs a whole number of pixels, not '{self.argument}'")
        return int(self.argument or 4)

    def open_train(self) -> ImageDataset:
        return Stripes(self.spec, self.width, first=0, count=4000)

    def open_test(self) -> ImageDataset:
        return Stripes(self.spec, self.width, first=4000, count=1000)
