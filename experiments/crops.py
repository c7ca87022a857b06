"""Square crops of photographs as small images: a public source for datasets such as CIFAR-10.

    python experiments/crops.py coco/train2017 crops
    dpbench run --method wavelet --dataset cifar10 --public folder:crops

The crops depend only on the photographs, the options and the seed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))  # makes the script work from any folder

from dpbench.core.errors import DpbenchError
from dpbench.core.files import write_atomic
from experiments._script import one_line_errors

SUFFIXES = {".jpg", ".jpeg", ".png"}


def main(
    photos: Annotated[Path, typer.Argument(help="folder of photographs")],
    out: Annotated[Path, typer.Argument(help="folder of the crops, PNG files")],
    count: Annotated[int, typer.Option(help="crops per photograph", min=1)] = 40,
    side: Annotated[int, typer.Option(help="side of a crop after resizing, in pixels", min=1)] = 32,
    smallest: Annotated[int, typer.Option(help="smallest side of a crop before resizing", min=1)] = 64,
    seed: Annotated[int, typer.Option(help="seed of places and sizes", min=0)] = 0,
) -> None:
    """Writes `count` crops of every photograph, of random places and sizes."""
    with one_line_errors():
        files = sorted(file for file in photos.glob("*") if file.suffix.lower() in SUFFIXES)
        if not files:
            raise DpbenchError(f"{photos} holds no photographs ({', '.join(sorted(SUFFIXES))})")
        draws = np.random.default_rng(seed)
        for file in files:
            for number, crop in enumerate(crops(opened(file), count, smallest, draws)):
                small = crop.resize((side, side), Image.Resampling.LANCZOS)
                write_atomic(out / f"{file.stem}-{number:02d}.png", partial(small.save, format="png"))


def opened(file: Path) -> Image.Image:
    """A photograph in colour.

    Raises:
        DpbenchError: it cannot be read.
    """
    try:
        return Image.open(file).convert("RGB")
    except OSError as error:
        raise DpbenchError(f"cannot read {file}: {error}") from error


def crops(photo: Image.Image, count: int, smallest: int, draws: np.random.Generator) -> Iterator[Image.Image]:
    """Square crops of random places and sizes, at least `smallest` pixels wide where the photograph is."""
    width, height = photo.size
    largest = min(width, height)
    for _ in range(count):
        side = int(draws.integers(min(smallest, largest), largest + 1))
        left, top = (int(draws.integers(0, length - side + 1)) for length in (width, height))
        yield photo.crop((left, top, left + side, top + side))


if __name__ == "__main__":
    typer.run(main)
