"""Places365-Standard (Zhou et al. 2018), the small images: scenes of 365 kinds."""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path

from dpbench.data.published_files import PublishedDataset
from dpbench.data.sets.downloading import download

LISTS = {True: "places365_train_standard.txt", False: "places365_val.txt"}
FOLDERS = {True: ("data_256_standard", "data_256"), False: ("val_256",)}
CATEGORIES = "categories_places365.txt"


class Places365(PublishedDataset):
    """Photographs of 365 kinds of places, 64×64 colour, 1,803,460 + 36,500 (Zhou et al. 2018)

    Reads `<root>/places365/`: `data_256_standard/` and `val_256/` (256×256), the lists `places365_train_standard.txt`
    and `places365_val.txt`, and `categories_places365.txt`. The test split is `val`, as the labels of the test images
    are not published.
    """

    name = "places365"
    resolution = 64
    n_train = 1_803_460
    n_test = 36_500
    downloadable = True

    @property
    def _where(self) -> str:
        archives = "filelist_places365-standard.tar, train_256_places365standard.tar and val_256.tar"
        return f"unpack {archives} into {self.folder}"

    @cached_property
    def _class_names(self) -> tuple[str, ...]:
        """Names without the letter that they begin with: "/a/airport/inside" is "airport/inside"."""
        path = self._needed(CATEGORIES)
        names = {number: name.lstrip("/").partition("/")[2] for name, number in self._pairs(path)}
        if [*names] != [*range(len(names))] or not all(names.values()):
            raise self._damaged(path, "its categories must be numbered 0, 1, 2 ...")
        return tuple(names.values())

    @cached_property
    def _records(self) -> dict[bool, list[tuple[str, int]]]:
        return {train: self._read(train) for train in (True, False)}

    def _read(self, train: bool) -> list[tuple[str, int]]:
        path, classes = self._needed(LISTS[train]), len(self._class_names)
        place = self._needed(*FOLDERS[train]).name
        records = [(f"{place}/{name.lstrip('/')}", label) for name, label in self._pairs(path)]
        if not all(0 <= label < classes for _, label in records):
            raise self._damaged(path, f"its labels must be 0 to {classes - 1}")
        return records

    def _list(self, train: bool) -> list[str]:
        return [name for name, _ in self._records[train]]

    def _condition(self, train: bool) -> list[int]:
        return [label for _, label in self._records[train]]

    def _download(self) -> None:
        from torchvision.datasets import Places365 as Reader

        for train, split in ((True, "train-standard"), (False, "val")):
            if not any((self.folder / name).is_dir() for name in FOLDERS[train]):
                files = (Reader._IMAGES_META[split, True], Reader._DEVKIT_META["standard"])
                archives = {self.folder / file: md5 for file, md5 in files}
                self.folder.mkdir(parents=True, exist_ok=True)
                fetch = partial(Reader, self.folder, split, small=True, download=True)
                download(self.name, fetch, archives, self._where)

    def _pairs(self, path: Path) -> list[tuple[str, int]]:
        """The lines of a file, each a name and a number."""
        try:
            split = (line.rsplit(maxsplit=1) for line in self._lines(path) if line.strip())
            return [(name, int(number)) for name, number in split]
        except ValueError as error:
            raise self._damaged(path, "a line must have a name and a number") from error
