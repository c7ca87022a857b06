"""Samples as files for other programs: PNG images in one folder per class, one .npz, and a labelled grid."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

import numpy as np
from PIL import Image

from dpbench.core.errors import DpbenchError
from dpbench.core.progress import Progress
from dpbench.results.sample_grid import pictures, write_grid
from dpbench.results.samples import StoredSamples

ROWS = 500
"""Images in memory at once."""


class Exported(NamedTuple):
    """The files that `export` writes.

    Attributes:
        images: folder of PNG images named by their number, in one sub-folder per class if there are classes.
        arrays: an .npz with `images`, uint8 [n, h, w, c], and, if there are classes, `labels`, int64 [n].
        sheet: a PNG with the first images of each class.
    """

    images: Path
    arrays: Path
    sheet: Path


def check_free(folder: Path) -> None:
    """Checks that a folder is empty or absent, so that images of several calls are never mixed.

    Raises:
        DpbenchError: the folder is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DpbenchError(f"{folder} is not empty; remove it, or choose another folder with --out")


def export(samples: StoredSamples, folder: Path, title: str, progress: Progress) -> Exported:
    """Writes samples to a folder, which is then complete, or absent after an error.

    Args:
        samples: at least one image.
        folder: empty or absent, in a folder that exists.
        title: text above the grid.
        progress: where progress shows.

    Raises:
        DpbenchError: the folder is not empty, or cannot be written.
    """
    check_free(folder)
    try:
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as work:
            made = exported_files(Path(work) / "made")
            _write_images(samples, made, progress)
            write_grid(made.sheet, samples, title)
            with suppress(FileNotFoundError):
                folder.rmdir()
            made.images.parent.rename(folder)
    except OSError as error:
        raise DpbenchError(f"cannot write {folder}: {error.strerror or error}") from error
    return exported_files(folder)


def exported_files(folder: Path) -> Exported:
    """The files that `export` writes to a folder."""
    return Exported(folder / "images", folder / "samples.npz", folder / "samples.png")


def _write_images(samples: StoredSamples, made: Exported, progress: Progress) -> None:
    count, labels = len(samples), samples.labels
    names = [""] if labels is None else folder_names(samples.spec.classes or ())
    for name in names:
        (made.images / name).mkdir(parents=True)
    shape = (count, samples.spec.resolution, samples.spec.resolution, samples.spec.channels)
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with ZipFile(made.arrays, "w") as archive, progress.phase("writing", count) as advance:
        with archive.open("images.npy", "w", force_zip64=True) as file:
            np.lib.format.write_array_header_1_0(file, header)
            for start in range(0, count, ROWS):
                part = pictures(samples, range(start, min(start + ROWS, count)))
                for number, picture in enumerate(part, start):
                    file.write(np.ascontiguousarray(picture).data)
                    name = names[0 if labels is None else labels[number]]
                    Image.fromarray(picture).save(made.images / name / f"{number:05d}.png")
                advance(len(part))
        if labels is not None:
            with archive.open("labels.npy", "w") as file:
                np.save(file, labels)


def folder_names(classes: Sequence[str]) -> list[str]:
    """A folder name for each class that `dpbench evaluate` understands: the class name if suitable, else its number.

    Names are suitable if they stay unique after replacements such as "T-shirt/top" -> "T-shirt-top".
    """
    names = [re.sub(r"[^\w -]+", "-", name).strip() for name in classes]
    plain = Counter(re.sub(r"[\W_]+", " ", name.casefold()).strip() for name in names)
    return names if len(plain) == len(names) and "" not in plain else [str(label) for label in range(len(names))]
