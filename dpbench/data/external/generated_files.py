"""Generated images as a folder or zip of image files: one sub-folder per class, or none."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dpbench.core.errors import DataError, UnknownName
from dpbench.core.specs import DatasetSpec
from dpbench.data.decoded import THREADS
from dpbench.data.external.class_folders import ClassFolders
from dpbench.data.external.generated import Generated, Images
from dpbench.data.image_files import IMAGE_TYPES, is_image, open_source
from dpbench.data.pixels import read_image, to_tensor
from dpbench.data.split_folders import common_folder

GREY_MODES = {"1", "L"}


class GeneratedFiles(Generated):
    """Image files in the order of their paths. Other files are ignored, with a remark.

    Sub-folders are classes, named as in `ClassFolders`; they are ignored if the dataset has no classes. If everything
    is in a single folder, the contents of that folder are used.

    Raises:
        DataError: there are no images, some images are next to class folders, or a folder is not named after a class.
    """

    def __init__(self, path: Path, spec: DatasetSpec):
        super().__init__(path, spec)
        self._source = open_source(path)
        self._paths = [file for file in self._source.sizes if is_image(file)]
        others = sorted({*self._source.sizes} - {*self._paths})
        if not self._paths:
            raise DataError(f"{path} has no images ({', '.join(IMAGE_TYPES)})")
        if others:
            self._remark(f"ignored files that are not images: {', '.join(others[:3])}{' ...' * (len(others) > 3)}")
        self.labels = self._read_labels(ClassFolders(spec.classes)) if spec.classes else None

    def __len__(self) -> int:
        return len(self._paths)

    def _read(self, rows: int) -> Iterator[Images]:
        with ThreadPoolExecutor(THREADS) as pool:
            for start in range(0, len(self), rows):
                yield np.concatenate(list(pool.map(self._decode, self._paths[start : start + rows])))

    def _decode(self, file: str) -> Images:
        name = self._source.describe(file)
        image = read_image(
            self._source.read(file), name, lambda image: image.convert("L" if image.mode in GREY_MODES else "RGB")
        )
        return self._fitted(to_tensor(image)[None].numpy(), lambda _: name)

    def _read_labels(self, classes: ClassFolders) -> NDArray[np.int64] | None:
        common = common_folder(self._paths, classes)
        inside = [file.removeprefix(common).split("/") for file in self._paths]
        loose = [file for file, parts in zip(self._paths, inside, strict=True) if len(parts) == 1]
        if len(loose) == len(inside):
            return None
        if loose:
            raise DataError(
                f"{self._source.describe(loose[0])} is next to class folders; move it into one of them, "
                "or use no class folders"
            )
        folders = {parts[0] for parts in inside}
        try:
            labels = {folder: classes.label(folder) for folder in sorted(folders)}
        except UnknownName as error:
            raise DataError(f"{error} ({self.spec.name}; below {self._source.describe(common)})") from error
        return np.array([labels[parts[0]] for parts in inside], dtype=np.int64)
