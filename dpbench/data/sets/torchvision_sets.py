"""MNIST, Fashion-MNIST, CIFAR-10 and CIFAR-100, read from the original files with torchvision."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dpbench.core.data import ImageDataset
from dpbench.core.errors import DataError, reason
from dpbench.core.files import digest
from dpbench.data.declared import CountedDataset, DeclaredDataset
from dpbench.data.sets.downloading import download

if TYPE_CHECKING:
    from torch import Tensor

NIST_DIGITS = "NIST digits"
"""The collection of handwritten digits that MNIST and EMNIST were made from (NIST Special Database 19)."""


class TorchvisionDataset(DeclaredDataset):
    """A dataset in `<root>/<name>/`, in the layout of its torchvision class.

    Raises (from `train` and `test`):
        DataError: a file is missing and cannot (or must not) be downloaded, or is damaged.
    """

    source: ClassVar[str]  # name of the torchvision class
    native: ClassVar[int]  # resolution of the files

    @classmethod
    def reader(cls) -> Any:
        """The torchvision class; imports torchvision."""
        from torchvision import datasets

        return getattr(datasets, cls.source)

    @abstractmethod
    def _check_files(self) -> None:
        """Raises DataError if a file of either split is damaged or missing (torchvision needs both)."""

    @property
    @abstractmethod
    def _files(self) -> list[Path]:
        """The unpacked files of both splits."""

    @property
    @abstractmethod
    def _archives(self) -> dict[Path, str]:
        """The archives to download, with their published MD5."""

    @property
    @abstractmethod
    def _where(self) -> str:
        """The instruction in messages about missing files."""

    def open_train(self) -> ImageDataset:
        """See `Dataset.open_train`."""
        return self._split(train=True)

    def open_test(self) -> ImageDataset:
        """See `Dataset.open_test`."""
        return self._split(train=False)

    def _split(self, train: bool) -> ImageDataset:
        from dpbench.data.arrays import ArrayDataset, Converted, content_hash

        if self.options.download and not all(path.is_file() for path in self._files):
            download(self.name, self._fetch, self._archives, self._where)
        self._check_files()
        try:
            images, labels = self._read(train)
        except Exception as error:  # any error of torchvision on files that seemed intact
            raise DataError(f"{self.folder} cannot be read ({reason(error)}); delete it and {self._where}") from error
        n = self.spec.n_train if train else self.spec.n_test
        if len(images) != n or len(labels) != n:
            counts = f"{len(images)} images and {len(labels)} labels instead of {n}"
            raise DataError(f"{self.folder} holds {counts}; delete it and {self._where}")
        fingerprint = digest([self.name, train, content_hash(images), content_hash(labels)])
        arrays = ArrayDataset(replace(self.spec, resolution=self.native), images, labels, fingerprint)
        return arrays if self.size == self.native else Converted(arrays, self.spec, self._convert, "resize")

    def _fetch(self) -> None:
        self.reader()(self.folder, download=True)

    def _read(self, train: bool) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The images [n, c, h, w] and labels [n] of a split."""
        read = self.reader()(self.folder, train=train)
        return _channels_first(np.asarray(read.data)), np.asarray(read.targets, dtype=np.int64)

    def _convert(self, images: Tensor) -> Tensor:
        from dpbench.data.pixels import resize

        return resize(images, self.size)

    def _missing(self, path: Path) -> DataError:
        return DataError(f"{path} is missing: {self._where}, or allow the download (--download)")


def _channels_first(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[n, h, w] or [n, h, w, c] -> [n, c, h, w]."""
    return images[:, None] if images.ndim == 3 else np.ascontiguousarray(images.transpose(0, 3, 1, 2))


class IdxDataset(TorchvisionDataset, CountedDataset):
    """28×28 grey images in IDX files, padded with 2 black pixels on each side at resolution 32 (the default), unchanged
    at 28, and resized (bicubic, antialiased) at other resolutions. The counts are those of the files, with a warning if
    they are not the published ones.
    """

    channels = 1
    native = 28
    n_train = 60_000
    n_test = 10_000

    @property
    def _prefixes(self) -> tuple[str, str]:
        """The prefixes of the file names of train and test."""
        return "train", "t10k"

    @property
    def _where(self) -> str:
        files = f"({'|'.join(self._prefixes)})-(images-idx3|labels-idx1)-ubyte"
        return f"put the four unpacked files {files} into {self._raw}"

    @property
    def _files(self) -> list[Path]:
        kinds = ("images-idx3-ubyte", "labels-idx1-ubyte")
        return [self._raw / f"{split}-{kind}" for split in self._prefixes for kind in kinds]

    @property
    def _archives(self) -> dict[Path, str]:
        return {self._raw / name: md5 for name, md5 in self.reader().resources}

    @property
    def _raw(self) -> Path:
        return self.folder / self.source / "raw"

    def _check_files(self) -> None:
        for images, labels in (self._files[:2], self._files[2:]):
            n, m = self._records(images, (self.native, self.native)), self._records(labels, ())
            if n != m:
                raise DataError(
                    f"{images} holds {n} images but {labels.name} {m} labels; delete both and {self._where}"
                )

    def _count(self, train: bool) -> int:
        return self._records(self._files[0 if train else 2], (self.native, self.native))

    def _records(self, path: Path, shape: tuple[int, ...]) -> int:
        """The number of records in a file, from its header.

        Args:
            shape: shape of a record.

        Raises:
            DataError: the file is missing or damaged.
        """
        if not path.is_file():
            raise self._missing(path)
        length, found = 8 + 4 * len(shape), path.stat().st_size
        with path.open("rb") as file:
            magic, n, *sides = np.frombuffer(file.read(length).ljust(length, b"\0"), ">u4").tolist()
        whole = length + n * math.prod(shape)
        if magic != 0x801 + len(shape) or sides != [*shape] or not n:  # unsigned bytes, number of dimensions
            raise DataError(f"{path} is damaged (its header is wrong); delete it and {self._where}")
        if found != whole:
            raise DataError(f"{path} is damaged ({found} bytes instead of {whole}); delete it and {self._where}")
        return int(n)

    def _convert(self, images: Tensor) -> Tensor:
        from torch.nn.functional import pad

        return pad(images, (2, 2, 2, 2)) if self.size == 32 else super()._convert(images)


class MNIST(IdxDataset):
    """Handwritten digits, 28×28 grey padded to 32×32, 60,000 + 10,000 (LeCun et al. 1998)

    Unchanged at resolution 28; resized (bicubic, antialiased) at resolutions other than 28 and 32. Reads
    `<root>/mnist/MNIST/raw/*-ubyte`.
    """

    name = "mnist"
    source = "MNIST"
    classes = tuple("0123456789")

    @classmethod
    def collections(cls, argument: str) -> frozenset[str]:
        """See `Dataset.collections`; EMNIST's digits come from the same forms."""
        return frozenset({NIST_DIGITS})


class FashionMNIST(IdxDataset):
    """Clothes, 28×28 grey padded to 32×32, 60,000 + 10,000 (Xiao et al. 2017)

    Unchanged at resolution 28; resized (bicubic, antialiased) at resolutions other than 28 and 32. Reads
    `<root>/fashion-mnist/FashionMNIST/raw/*-ubyte`.
    """

    name = "fashion-mnist"
    source = "FashionMNIST"
    classes = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot")


class _CifarDataset(TorchvisionDataset):
    channels = 3
    native = 32
    n_train = 50_000
    n_test = 10_000

    @property
    def _files(self) -> list[Path]:
        reader = self.reader()
        names = [name for name, _ in (*reader.train_list, *reader.test_list)] + [reader.meta["filename"]]
        return [self.folder / reader.base_folder / name for name in names]

    @property
    def _archives(self) -> dict[Path, str]:
        return {self.folder / self.reader().filename: self.reader().tgz_md5}

    @property
    def _where(self) -> str:
        return f"unpack {self.reader().filename} into {self.folder}"

    def _check_files(self) -> None:
        from torchvision.datasets.utils import check_integrity

        reader = self.reader()
        meta = (reader.meta["filename"], reader.meta["md5"])
        for name, md5 in (*reader.train_list, *reader.test_list, meta):
            path = self.folder / reader.base_folder / name
            if not path.is_file():
                raise self._missing(path)
            if not check_integrity(path, md5):
                raise DataError(f"{path} is damaged (its MD5 is not {md5}); delete it and {self._where}")


class CIFAR10(_CifarDataset):
    """Photographs of ten kinds of things, 32×32 colour, 50,000 + 10,000 (Krizhevsky 2009)

    Reads `<root>/cifar10/cifar-10-batches-py/`; resized (bicubic, antialiased) at other resolutions.
    """

    name = "cifar10"
    source = "CIFAR10"
    classes = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


_CIFAR100_CLASSES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""


class CIFAR100(_CifarDataset):
    """Photographs of a hundred kinds of things, 32×32 colour, 50,000 + 10,000 (Krizhevsky 2009)

    Reads `<root>/cifar100/cifar-100-python/`; resized (bicubic, antialiased) at other resolutions.
    """

    name = "cifar100"
    source = "CIFAR100"
    classes = tuple(_CIFAR100_CLASSES.split())
