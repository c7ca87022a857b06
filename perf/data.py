"""Cost of reading images: peak memory, and images per second from files and from the resized copy.

    python perf/data.py

Photographs are read in random order, like those of a published dataset, at 64 pixels by default. A thousand JPEG files
of 128×96 pixels are generated; larger sizes have several links to each. Every cell is measured in a new process:
without a copy (each batch is decoded), while making the copy, and from the copy. Memory is the peak beyond the memory
in use before the split is opened. It includes memory-mapped pages of the copy, although the system can reclaim them at
any time; the last column excludes them.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from PIL import Image
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent))  # makes the script work from any folder

from dpbench.core.data import ImageDataset
from dpbench.core.progress import Silent
from dpbench.core.specs import DatasetSpec
from dpbench.data.decoded import DecodedDataset
from dpbench.data.image_files import ListedSource
from dpbench.data.resized_copy import ResizedCopy
from perf._measure import in_new_process, peak_of

BATCH = 256
PER_FOLDER = 1000
CLASSES = ("even", "odd")


@dataclass(frozen=True)
class Reading:
    """What to read: the number of files in a folder, the resolution, and the maximum number of images."""

    folder: Path
    files: int
    resolution: int
    images: int

    def decoded(self) -> DecodedDataset:
        spec = DatasetSpec("generated", 3, self.resolution, self.files, 0, CLASSES, True)
        paths = [path_of(number) for number in range(self.files)]
        labels = [number % 2 for number in range(self.files)]
        return DecodedDataset(spec, ListedSource(self.folder, paths, ""), paths, labels, keep=False)

    def copy(self) -> ResizedCopy:
        return ResizedCopy(self.decoded(), self.folder / "copies", f"generated-{self.files}", Silent())


def path_of(number: int) -> str:
    return f"{number // PER_FOLDER}/{number}.jpg"


def draw(folder: Path) -> None:
    """The first `PER_FOLDER` photographs: smooth random colours."""
    rng = np.random.default_rng(0)
    (folder / "0").mkdir()
    for number in range(PER_FOLDER):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        coarse.resize((128, 96), Image.Resampling.BICUBIC).save(folder / path_of(number), quality=85)


def link(folder: Path, files: int) -> None:
    """Makes links to the photographs, up to this number of files."""
    for number in range(PER_FOLDER, files):
        path = folder / path_of(number)
        path.parent.mkdir(exist_ok=True)
        path.hardlink_to(folder / path_of(number % PER_FOLDER))


def read(split: ImageDataset, images: int) -> None:
    """Reads this number of random records in batches."""
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))[:images]
    for indices in order.split(BATCH):
        split.batch(indices.tolist())


def read_files(reading: Reading) -> None:
    read(reading.decoded(), reading.images)


def make_copy(reading: Reading) -> None:
    reading.copy().batch([0])


def read_copy(reading: Reading) -> None:
    read(reading.copy(), reading.files)


def private_peak(reading: Reading) -> int:
    """The peak of the process's own memory while reading the copy, beyond the memory in use before, in bytes."""
    before, most = _own_memory(), 0
    copy, order = reading.copy(), torch.randperm(reading.files)
    for indices in order.split(BATCH):
        copy.batch(indices.tolist())
        most = max(most, _own_memory())
    return most - before


def _own_memory() -> int:
    with open("/proc/self/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("RssAnon"))


def main(
    files: Annotated[list[int] | None, typer.Option(help="sizes of the split, at least 1000; repeatable")] = None,
    resolution: Annotated[int, typer.Option(help="pixels per side")] = 64,
    decoded: Annotated[int, typer.Option(help="images decoded without a copy at most")] = 20_000,
) -> None:
    """Prints the table."""
    sizes = sorted(files or [1_000, 100_000])
    columns = ("files, img/s", "MiB", "making the copy, img/s", "MiB", "copy, img/s", "MiB", "own MiB")
    table = Table("images", *columns, title=f"reading at {resolution} pixels, batches of {BATCH}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(folder)
        link(folder, sizes[-1])
        for size in sizes:
            reading = Reading(folder, size, resolution, min(size, decoded))
            cells = []
            for function, images in ((read_files, reading.images), (make_copy, size), (read_copy, size)):
                peak, took = peak_of(function, reading)
                cells += [f"{images / took:,.0f}", f"{peak / 2**20:.0f}"]
            own = in_new_process(private_peak, reading)
            table.add_row(f"{size:,}", *cells, f"{own / 2**20:.0f}")
    Console(width=None if sys.stdout.isatty() else 120).print(table)


if __name__ == "__main__":
    typer.run(main)
