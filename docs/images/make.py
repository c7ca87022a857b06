"""The picture of the README: real images beside the samples of finished trials, from a folder of results.

    dpbench run --method wavelet,dp-sgd,dp-merf --eps 1,10 --samples 500 --metrics fwd,accuracy
    python docs/images/make.py

One row per trial, one column per class: the first sample of each, without selection. The first row is from the test
split. DP noise is secret, so another run gives another picture, close to this one.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).parents[2]))  # so that it runs as a script, wherever from

from dpbench.core.data import DataOptions, ImageDataset
from dpbench.data.opening import default_root, open_dataset
from dpbench.results.record import TrialRecord
from dpbench.results.sample_grid import GAP, INK, MARGIN, font
from dpbench.results.samples import StoredSamples
from dpbench.results.trial_folder import SAMPLES, TrialFolder

SCALE = 2
PICTURE = Path(__file__).with_name("samples.png")
LABELS = 120  # pixels for the names of the rows


class Row(NamedTuple):
    """A name, and images to take the first of each class from."""

    name: str
    images: ImageDataset


def main(
    dataset: Annotated[str, typer.Option(help="dataset of the trials")] = "shapes",
    methods: Annotated[str, typer.Option(metavar="NAMES", help="rows, from top to bottom")] = "wavelet,dp-sgd,dp-merf",
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder of results")] = Path("results"),
    picture: Annotated[Path, typer.Option(metavar="FILE", help="file to write")] = PICTURE,
) -> None:
    """Writes the picture."""
    names = methods.split(",")
    found = [trial for trial in private_trials(out, dataset) if trial[0].method in names]
    found.sort(key=lambda trial: (names.index(trial[0].method), trial[0].epsilon))
    if not found:
        sys.exit(f"error: no finished private trials on {dataset} in {out}")
    real = open_dataset(dataset, DataOptions(default_root())).test()
    rows = [Row("real images", real), *(Row(f"{r.method}, ε = {r.epsilon:g}", images) for r, images in found)]
    draw(rows).save(picture, optimize=True)


def private_trials(out: Path, dataset: str) -> list[tuple[TrialRecord, StoredSamples]]:
    """The private trials of a dataset, and their samples."""
    read = [(folder, folder.read()) for folder in TrialFolder.finished(out)]
    return [
        (record, StoredSamples(folder.home(record.is_sensitive) / SAMPLES, record.spec))
        for folder, record in read
        if record is not None and record.dataset == dataset and record.reference == ""
    ]


def draw(rows: list[Row]) -> Image.Image:
    """One row of images per row, one column per class, with names."""
    spec = rows[0].images.spec
    classes = spec.classes or ("",)
    cell = spec.resolution * SCALE + GAP
    top = 2 * MARGIN + 14
    canvas = Image.new("RGB", (LABELS + len(classes) * cell + MARGIN, top + len(rows) * cell + MARGIN), "white")
    pen = ImageDraw.Draw(canvas)
    for column, name in enumerate(classes):
        pen.text((LABELS + column * cell + cell // 2, MARGIN), name, INK, font(), anchor="ma")
    for number, row in enumerate(rows):
        y = top + number * cell
        pen.text((LABELS - MARGIN, y + cell // 2), row.name, INK, font(), anchor="rm")
        for column, pixels in enumerate(first_of_each_class(row.images, len(classes))):
            image = Image.fromarray(pixels).resize((cell - GAP, cell - GAP), Image.Resampling.NEAREST)
            canvas.paste(image, (LABELS + column * cell, y))
    return canvas


def first_of_each_class(images: ImageDataset, classes: int) -> list[np.ndarray]:
    """The first image of every class: uint8 [h, w, 3], or [h, w] for grey images."""
    batch = images.batch(range(min(len(images), 50 * classes)))
    assert batch.images is not None
    assert batch.labels is not None
    firsts = [int((batch.labels == label).nonzero()[0]) for label in range(classes)]
    return [
        pixels[..., 0] if pixels.shape[-1] == 1 else pixels
        for pixels in batch.images[firsts].permute(0, 2, 3, 1).numpy()
    ]


if __name__ == "__main__":
    typer.run(main)
