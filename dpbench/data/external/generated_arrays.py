"""Generated images as arrays in an .npz file."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from dpbench.core.errors import DataError, reason
from dpbench.core.specs import DatasetSpec
from dpbench.data.external.generated import Generated, Images

IMAGES = ("x", "arr_0", "images")
LABELS = ("y", "arr_1", "labels")
"""Array names: of DPImageBench, of `np.savez(file, images, labels)` (guided-diffusion), and plain ones."""

HEADERS: dict[tuple[int, int], Callable[..., tuple[tuple[int, ...], bool, np.dtype[Any]]]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}

BLOCKS = 32
"""Number of blocks in which each part is unpacked."""

AXES = "[n, h, w], [n, h, w, c] or [n, c, h, w] of squares with c = 1 or 3"


class GeneratedArrays(Generated):
    """An array of images, and optionally one of labels, in one .npz file.

    Images are uint8, or floats in [0, 1], which are rounded to 256 levels with a remark. Shapes and sizes are checked
    before anything is unpacked, and images are read one part at a time. Labels are class numbers [n] or [n, 1], counted
    from 0 in the order of the dataset's classes, or one-hot [n, k].

    Raises:
        DataError: the file is damaged, or its arrays have a wrong type or shape; the message says what to do.
    """

    def __init__(self, path: Path, spec: DatasetSpec):
        super().__init__(path, spec)
        with self._named_errors(), ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
        self._images = self._single(names, IMAGES) or ""
        labels = self._single(names, LABELS)
        if not self._images:
            raise DataError(f"{path} has {_listed(names)}, but no images called {' or '.join(IMAGES)}")
        if others := sorted({*names} - {self._images, labels}):
            self._remark(f"ignored arrays: {', '.join(others)}")
        with self._opened(self._images) as (_, shape, by_columns, dtype):
            self._shape, self._dtype = shape, dtype
        if by_columns:
            raise DataError(f"{self} is in Fortran order; save np.ascontiguousarray of it")
        self._to_channels_first = self._layout()
        none = np.empty((0, *shape[1:]), np.uint8)
        self._fitted(self._to_channels_first(none), lambda _: f"image 0 of {self}")
        self.labels = self._read_labels(labels) if labels and spec.classes else None
        if labels and not spec.classes:
            self._remark(f"labels were ignored, as {spec.name} has no classes")

    def __len__(self) -> int:
        return self._shape[0]

    def _read(self, rows: int) -> Iterator[Images]:
        with self._opened(self._images) as (file, *_):
            for start in range(0, len(self), rows):
                images = self._to_channels_first(self._unpack(file, min(rows, len(self) - start)))
                yield self._fitted(images, lambda i: f"image {start + i} of {self}")  # noqa: B023 (called at once)

    def _unpack(self, file: IO[bytes], count: int) -> Images:
        """The next `count` images, converted in small blocks, since floats take many times the memory."""
        images = np.empty((count, *self._shape[1:]), np.uint8)
        for block in np.array_split(images, min(count, BLOCKS)):
            content = file.read(block.size * self._dtype.itemsize)
            block[:] = self._to_uint8(np.frombuffer(content, self._dtype).reshape(block.shape))
        return images

    def __str__(self) -> str:
        return f"{self.path} ({self._images})"

    def _to_uint8(self, part: NDArray[Any]) -> Images:
        if part.dtype == np.uint8:
            return part
        low, high = part.min(), part.max()  # NaN if any value is NaN
        if not (low >= 0 and high <= 1):
            found = "has values that are NaN" if np.isnan(low) else f"ranges from {low:g} to {high:g}"
            raise DataError(
                f"{self} {found}; floats must be in [0, 1] (use x / 2 + 0.5 for images in [-1, 1]), or save uint8"
            )
        self._remark("pixels were given as floats in [0, 1] and rounded to 256 levels")
        return np.rint(part.astype(np.float64) * 255).astype(np.uint8)

    def _layout(self) -> Callable[[Images], Images]:
        """The conversion from the file's layout to [b, c, h, w]."""
        shape = self._shape
        if self._dtype != np.uint8 and self._dtype.kind != "f":
            raise DataError(f"{self} is {self._dtype}; save images as uint8 from 0 to 255, or as floats in [0, 1]")
        last = len(shape) == 4 and shape[3] in (1, 3) and shape[1] == shape[2]
        first = len(shape) == 4 and shape[1] in (1, 3) and shape[2] == shape[3]
        if last and first:
            raise DataError(f"{self} is {list(shape)}, where channels may be first or last; save [n, h, w] instead")
        if not (last or first or (len(shape) == 3 and shape[1] == shape[2])):
            raise DataError(f"{self} is {list(shape)}; save images as {AXES}")
        if not len(self):
            raise DataError(f"{self} has no images")
        if last:
            return lambda part: part.transpose(0, 3, 1, 2)
        channels = shape[1] if first else 1
        return lambda part: part.reshape(len(part), channels, *shape[-2:])

    def _read_labels(self, name: str) -> NDArray[np.int64]:
        labels, k = f"the labels of {self.path} ({name})", self.spec.n_classes
        with self._opened(name) as (_, shape, _, dtype):
            pass
        if shape[:1] != (len(self),):
            raise DataError(f"{labels} are {shape[0] if shape else 1}, but there are {len(self)} images")
        if shape[1:] not in ((), (1,), (k,)):
            raise DataError(f"{labels} are {dtype} {list(shape)}; give class numbers [n], or one-hot [n, {k}]")
        with self._named_errors(), np.load(self.path, allow_pickle=False) as file:
            found: NDArray[Any] = file[name]
        if shape[1:] == (k,) and k > 1:
            one_hot = (found == 1).sum(1) == 1
            if not one_hot.all() or np.count_nonzero(found) != len(found):
                raise DataError(f"{labels} are {list(shape)}, but not one-hot; give class numbers [n]")
            return found.argmax(1).astype(np.int64)
        if dtype.kind not in "iu":
            raise DataError(
                f"{labels} are {dtype} {list(shape)}; give class numbers [n] as integers, or one-hot [n, {k}]"
            )
        if not 0 <= found.min() <= found.max() < k:
            raise DataError(
                f"{labels} range from {found.min()} to {found.max()}, "
                f"but the classes of {self.spec.name} are 0 to {k - 1}, in order"
            )
        return found.reshape(-1).astype(np.int64)

    def _single(self, names: Sequence[str], wanted: Sequence[str]) -> str | None:
        found = [name for name in wanted if name in names]
        if len(found) > 1:
            raise DataError(f"{self.path} has {_listed(found)}; keep one of them")
        return found[0] if found else None

    @contextmanager
    def _opened(self, name: str) -> Iterator[tuple[IO[bytes], tuple[int, ...], bool, np.dtype[Any]]]:
        """An array's file, positioned after its header; its shape, whether it is in Fortran order, and its type."""
        member = f"{name}.npy"
        with self._named_errors(), ZipFile(self.path) as archive, archive.open(member) as file:
            shape, by_columns, dtype = HEADERS[np.lib.format.read_magic(file)](file)
            size, declared = math.prod(shape) * dtype.itemsize, archive.getinfo(member).file_size - file.tell()
            if size != declared and not dtype.hasobject:
                raise ValueError(f"{member} has {declared:,} bytes instead of {size:,}")
            yield file, shape, by_columns, dtype

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Turns read errors into a one-line DataError that names the file."""
        try:
            yield
        except DataError:
            raise
        except (OSError, BadZipFile, EOFError, zlib.error, ValueError, KeyError, RuntimeError) as error:
            raise DataError(f"{self.path} cannot be read ({reason(error)}); write it again with np.savez") from error


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing"
