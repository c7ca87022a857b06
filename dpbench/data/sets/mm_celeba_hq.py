"""Multi-Modal-CelebA-HQ (Xia et al. 2021): faces with captions written from their attributes."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path

from dpbench.core.errors import DataError
from dpbench.data.caption_texts import caption_texts
from dpbench.data.declared import DeclaredDataset
from dpbench.data.image_files import is_image
from dpbench.data.published_files import PublishedDataset
from dpbench.data.safe_pickle import read_pickle

IMAGES = ("image", "images/faces", "images", "CelebA-HQ-img", "CelebAMask-HQ/CelebA-HQ-img")
TEXTS = ("text/celeba-caption", "celeba-caption", "text")
"""Possible folders of the images, and of the captions."""

NUMBER = re.compile(r"\d+$")


class MMCelebAHQ(PublishedDataset, DeclaredDataset):
    """Faces with ten captions each, 64×64 colour, 24,000 + 6,000; for non-commercial research (Xia et al. 2021)

    Reads `<root>/mm-celeba-hq/`: `image/<i>.jpg`, `text/celeba-caption/<i>.txt` with one caption per line, and the
    published split, `train_filenames.pickle` and `test_filenames.pickle`, or the same numbers as text files, one per
    line. The number i of CelebA-HQ links an image, its captions and its place in the split, whatever the rest of the
    file name: `img00000012.png` is image 12. Images without captions are kept, with an empty caption.
    """

    name = "mm-celeba-hq"
    resolution = 64
    n_train = 24_000
    n_test = 6_000
    caption_bytes = 2_048

    @classmethod
    def collections(cls, argument: str) -> frozenset[str]:
        """See `Dataset.collections`."""
        return frozenset({"celeba"})

    @property
    def _where(self) -> str:
        return f"put the folders image and text and the two pickles of the split into {self.folder}"

    @cached_property
    def _images(self) -> dict[int, str]:
        """Number of an image -> its path."""
        place = self._needed(*IMAGES)
        files = [path for path in sorted(place.iterdir()) if is_image(path.name) and not path.name.startswith(".")]
        found: dict[int, str] = {}
        for path in files:
            if number := NUMBER.search(path.stem):
                if twin := found.get(int(number[0])):
                    raise DataError(f"{path} has the same number as {self.folder / twin}; remove one of them")
                found[int(number[0])] = path.relative_to(self.folder).as_posix()
        return found

    @cached_property
    def _numbers(self) -> dict[bool, list[int]]:
        return {True: self._read_numbers("train"), False: self._read_numbers("test")}

    def _list(self, train: bool) -> list[str]:
        numbers = self._numbers[train]
        if lacking := [number for number in numbers if number not in self._images]:
            place = self._needed(*IMAGES) / f"{lacking[0]}.jpg"
            raise self._missing(place)
        return [self._images[number] for number in numbers]

    def _condition(self, train: bool) -> list[str]:
        place = self._needed(*TEXTS)
        files = [place / f"{number}.txt" for number in self._numbers[train]]
        captions = (self._lines(file) if file.is_file() else [] for file in files)
        return caption_texts(captions, self.caption_bytes, self.name)

    def _read_numbers(self, split: str) -> list[int]:
        file = f"{split}_filenames"
        path = self._needed(f"{file}.pickle", f"{split}/filenames.pickle", f"{split}/{file}.pickle", f"{file}.txt")
        listed = self._lines(path) if path.suffix == ".txt" else read_pickle(path, self._instead(path))
        try:
            numbers = [int(Path(str(item)).stem) for item in listed]
        except (TypeError, ValueError) as error:
            raise self._damaged(path, f"not a list of image numbers: {error}") from error
        if len(set(numbers)) < len(numbers):
            raise self._damaged(path, "an image is listed twice")
        return numbers

    def _instead(self, path: Path) -> str:
        return f"put the numbers of its images into {path.stem}.txt in {self.folder}, one per line"
