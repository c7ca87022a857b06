"""ImageNet (Deng et al. 2009, ILSVRC 2012) as folders of image files."""

from __future__ import annotations

import os
import re
from functools import cached_property

from dpbench.core.errors import DataError
from dpbench.data.image_files import is_image
from dpbench.data.published_files import PublishedDataset

SYNSET = re.compile(r"n\d{8}")
ROOTS = {True: ("train", "ILSVRC/Data/CLS-LOC/train"), False: ("val", "ILSVRC/Data/CLS-LOC/val")}


class ImageNet(PublishedDataset):
    """Photographs of a thousand kinds of things, 64×64 colour, 1,281,167 + 50,000, from image files (ILSVRC 2012)

    Reads `<root>/imagenet/train/<synset>/*.JPEG` and `val/<synset>/*.JPEG`, or both below `ILSVRC/Data/CLS-LOC`. The
    test split is `val`, as labels of ImageNet's own test images are not published. Classes are the synsets of train in
    alphabetical order.
    """

    name = "imagenet"
    resolution = 64
    n_train = 1_281_167
    n_test = 50_000

    @classmethod
    def collections(cls, argument: str) -> frozenset[str]:
        """See `Dataset.collections`."""
        return frozenset({"imagenet"})

    @property
    def _where(self) -> str:
        return f"put the images into {self.folder}/(train|val)/<synset>/, e.g. train/n01440764/"

    @cached_property
    def _class_names(self) -> tuple[str, ...]:
        return self._synsets(train=True)

    def _synsets(self, train: bool) -> tuple[str, ...]:
        place = self._needed(*ROOTS[train])
        found = tuple(sorted(name for name in os.listdir(place) if SYNSET.fullmatch(name)))
        if not found:
            raise DataError(f"{place} has no class folders: {self._where}")
        return found

    @cached_property
    def _records(self) -> dict[bool, dict[str, int]]:
        return {train: self._read(train) for train in (True, False)}

    def _read(self, train: bool) -> dict[str, int]:
        """Path -> class number."""
        number = {name: label for label, name in enumerate(self._class_names)}
        place, records = self._needed(*ROOTS[train]), dict[str, int]()
        for name in self._synsets(train):
            if name not in number:
                raise DataError(f"{place / name} has test images, but there are no train images of this class")
            files = (file for file in os.listdir(place / name) if is_image(file) and not file.startswith("."))
            folder = (place / name).relative_to(self.folder).as_posix()
            records |= {f"{folder}/{file}": number[name] for file in sorted(files)}
        return records

    def _list(self, train: bool) -> list[str]:
        return list(self._records[train])

    def _condition(self, train: bool) -> list[int]:
        return list(self._records[train].values())
