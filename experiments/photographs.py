"""The second stage on photographs: real coarse bands through every detail stage, compared with bicubic interpolation.

    python experiments/photographs.py --photos coco     # coco/train2017 and coco/val2017 hold photographs

Detail stages learn from tiles of the train photographs, and refine block means of the others; nothing here is private.
The results are compared with the original photographs (PSNR, in decibels), with the coarse input (`ll_error`: root mean
square difference, pixels from 0 to 1), and with the detail of the photographs (`energy`: power in the Haar detail bands
above the coarse one, relative to the photographs; 1 is as sharp as they are). Texture and spectrum are the metrics of
these names. Finished parts are skipped, so the same command continues after an interruption.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import pandas as pd
import torch
import typer
from PIL import Image, ImageChops
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent))  # makes the script work from any folder

import dpbench
from dpbench.core.cache import public_cache
from dpbench.core.closure import code_hash
from dpbench.core.context import RunContext
from dpbench.core.data import DataOptions, ImageDataset
from dpbench.core.errors import DpbenchError
from dpbench.core.files import digest, read_json, write_atomic, write_json
from dpbench.core.refiner import block_means
from dpbench.core.registries import METRICS
from dpbench.core.specs import Conditions
from dpbench.core.variants import split_list
from dpbench.data.arrays import ArrayDataset
from dpbench.data.opening import open_dataset
from dpbench.data.tiles import Tiles
from dpbench.models.haar import wavedec2
from dpbench.models.image_range import to_uint8, to_unit
from dpbench.refiners.degrade import BlockMeans
from dpbench.results.run_sheet import Group, write_run_sheet
from dpbench.results.sample_grid import GAP
from dpbench.results.samples import StoredSamples, clear, write_conditions, write_shard
from experiments._coarse import block_error
from experiments._refinement import Stage, scores
from experiments._script import one_line_errors
from experiments.detail_stages import default_stages

SIZE, TILE = 256, 64
"""Side of the photographs, and of the tiles that detail stages learn from."""

NOISE = 0.02
"""Standard deviation of the noise on training inputs, for images in [-1, 1]."""

ORIGINAL = "photograph"
"""The row of the photographs themselves."""

FEWEST = 4
"""Number of photographs that the slowest detail stage refines, and that a sheet shows."""

ACROSS = 4
"""Detail stages next to each other in a sheet."""

WIDEST = 1600
"""Maximum width and height of a sheet in pixels."""

SCORED = ("texture", "spectrum")
"""Metrics of the refined photographs."""

SHOWN = ("psnr", "energy", *SCORED)
"""Columns of the printed table."""


@dataclass(frozen=True)
class Options:
    """The options of the command that a row depends on, and where it is stored.

    Attributes:
        photos: folder with train/ and val/ of photographs.
        images: number of photographs to refine.
        seconds: approximate time limit of refinement; a slow detail stage refines fewer photographs.
        out: folder of images and rows.
    """

    photos: Path
    images: int
    seconds: float
    out: Path


def main(
    photos: Annotated[Path, typer.Option(metavar="DIR", help="folder with train/ and val/ of photographs")],
    sides: Annotated[str, typer.Option(metavar="LIST", help="sides of the coarse images")] = "32,64,128",
    refiners: Annotated[str, typer.Option(metavar="LIST", help="detail stages, with settings; empty for all")] = "",
    images: Annotated[int, typer.Option(metavar="N", help="photographs to refine")] = 32,
    seconds: Annotated[
        float, typer.Option(metavar="S", help="time for the photographs of a slow detail stage")
    ] = 120.0,
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder of images and rows")] = Path("results/photographs"),
    report: Annotated[Path, typer.Option(metavar="DIR", help="folder of table and sheets")] = Path("results/reference"),
    table_only: Annotated[bool, typer.Option("--table-only", help="refine nothing; report what is finished")] = False,
) -> None:
    """Refines the coarse bands of photographs with every detail stage, and writes table and sheets."""
    with one_line_errors():
        options = Options(photos, images, seconds, out)
        stages = [Stage.of(name) for name in split_list(refiners) or default_stages()]
        coarse_sides = [_side(text) for text in split_list(sides)]
        dataset = open_dataset(f"folder:{photos}", DataOptions(photos, SIZE, public_benchmark=True))
        train, test = dataset.train(), dataset.test()
        wanted = test.batch(range(min(images, len(test)))).images
        assert wanted is not None
        if not table_only:
            for side in coarse_sides:
                for stage in stages:
                    measure(stage, side, wanted, train, options)
        rows = [row for side in coarse_sides for stage in stages if (row := stored(side, stage, options))]
        if not rows:
            raise DpbenchError(f"nothing is finished in {out}; run without --table-only")
        write_report(pd.DataFrame(rows), test, wanted, report)


def _side(text: str) -> int:
    side = int(text) if text.isdigit() else 0
    if side < 2 or SIZE % side or side == SIZE:
        raise DpbenchError(f"--sides must be powers of two below {SIZE}, not '{text}'")
    return side


def row_path(side: int, stage: Stage, options: Options) -> Path:
    """The file of the row of a finished part; its name depends on the options and the detail stage's code.

    It does not depend on the content of the photographs: use another `--out` for others in the same folder.
    """
    code = code_hash(stage.plugin, *map(METRICS.get, SCORED))
    key = digest([str(options.photos.resolve()), side, stage.name, options.images, options.seconds, code])
    return options.out / f"{key}.json"


def stored(side: int, stage: Stage, options: Options) -> dict[str, Any] | None:
    """The row of a finished part."""
    path = row_path(side, stage, options)
    return dict(read_json(path)) if path.exists() else None


def measure(stage: Stage, side: int, wanted: Tensor, train: ImageDataset, options: Options) -> None:
    """Prepares a detail stage, refines the coarse bands of photographs, and stores the row.

    Args:
        stage: the detail stage.
        side: side of the coarse images.
        wanted: the photographs, uint8 [n, 3, 256, 256].
        train: the photographs to learn from.
        options: see `Options`.
    """
    path = row_path(side, stage, options)
    if path.exists():
        return
    factor = SIZE // side
    torch.manual_seed(0)
    run = RunContext("cpu", torch.Generator().manual_seed(0), public_cache())
    refiner = stage.refiner("flip")
    with refiner.cost.preparing(run.cache):
        refiner.prepare(Tiles(train, max(TILE, factor)), BlockMeans(factor.bit_length() - 1, NOISE), run)
    coarse = block_means(to_unit(wanted), factor)
    images: list[Tensor] = []
    for image in coarse:
        images.append(to_uint8(refiner(image[None], SIZE, run)))
        if refiner.cost.seconds > options.seconds and len(images) >= FEWEST:
            break
    refined = torch.cat(images)
    wanted, coarse = wanted[: len(refined)], coarse[: len(refined)]
    folder = path.with_suffix("")
    clear(folder)
    write_shard(folder, 0, refined)
    write_conditions(folder, Conditions(len(refined)))
    scored = dpbench.evaluate(
        folder, f"folder:{options.photos}", name=path.stem, metrics=list(SCORED), references=(), resolution=SIZE,
        public_benchmark=True, out=options.out / "scores",
    )  # fmt: skip
    row = {
        "side": side,
        "refiner": stage.name,
        "images": len(refined),
        "psnr": psnr(refined, wanted),
        "ll_error": block_error(refined, coarse),
        "energy": detail_energy(refined, factor) / detail_energy(wanted, factor),
        **scores(scored.iloc[0].to_dict()),
        "seconds_prepare": refiner.cost.seconds_prepare,
        "seconds_per_image": refiner.cost.seconds_per_image,
        "parameters": refiner.parameters(),
        "samples": str(folder),
    }
    write_json(path, row)


def psnr(images: Tensor, wanted: Tensor) -> float:
    """Mean peak signal-to-noise ratio over images, uint8 [n, c, h, w] each, in decibels."""
    errors = (images.float() - wanted.float()).square().flatten(1).mean(1).clamp(min=1e-6)
    return float((10 * torch.log10(255**2 / errors)).mean())


def detail_energy(images: Tensor, factor: int) -> float:
    """Mean square of the Haar coefficients above the coarse band: uint8 [n, c, h, w], coarse pixels of `factor`²."""
    details = wavedec2(images.float() / 255, factor.bit_length() - 1)[1:]
    return float(torch.cat([band.flatten() for band in details]).square().mean())


def write_report(rows: pd.DataFrame, test: ImageDataset, wanted: Tensor, folder: Path) -> None:
    """Writes photographs.csv and a sheet per side, and prints a table."""
    write_atomic(folder / "photographs.csv", lambda path: rows.drop(columns="samples").to_csv(path, index=False))
    shown = [name for name in SHOWN if name in rows]
    printed = Table(
        "coarse", "refiner", *shown, "LL error", "prepare s", "s/image", "images", title=f"{SIZE}-pixel photographs"
    )
    for row in rows.to_dict("records"):
        numbers = (f"{row[name]:.3g}" for name in shown)
        printed.add_row(
            f"{row['side']} px", escape(row["refiner"]), *numbers, f"{row['ll_error']:.4f}",
            f"{row['seconds_prepare']:.0f}", f"{row['seconds_per_image']:.3f}", f"{row['images']}",
        )  # fmt: skip
    Console(width=None if sys.stdout.isatty() else 160).print(printed)
    spec, original = test.spec, ArrayDataset(test.spec, wanted, None)
    for side, of_side in rows.groupby("side"):
        shown_images = range(min(FEWEST, len(wanted)))
        groups = [Group("", ORIGINAL, original, shown_images)]
        for row in of_side.to_dict("records"):
            groups.append(Group("", row["refiner"], StoredSamples(Path(row["samples"]), spec), shown_images))
        write_small_sheet(folder / f"photographs-{side}.jpg", groups, f"{side} → {SIZE} pixels")


def write_small_sheet(path: Path, groups: list[Group], title: str) -> None:
    """Writes a JPEG file of at most `WIDEST` pixels, `ACROSS` groups per line; a sheet as PNG would take megabytes."""
    lines = []
    with TemporaryDirectory() as temporary:
        for start in range(0, len(groups), ACROSS):
            file = Path(temporary, f"{start}.png")
            write_run_sheet(file, groups[start : start + ACROSS], title)
            lines.append(_without_white_margin(Image.open(file).convert("RGB")))
    sheet = Image.new("RGB", (max(line.width for line in lines), sum(line.height for line in lines)), "white")
    top = 0
    for line in lines:
        sheet.paste(line, (0, top))
        top += line.height
    sheet.thumbnail((WIDEST, WIDEST))
    write_atomic(path, lambda file: sheet.save(file, format="jpeg", quality=85))


def _without_white_margin(image: Image.Image) -> Image.Image:
    """The image without the white rows below its last content."""
    box = ImageChops.invert(image).getbbox()
    return image.crop((0, 0, image.width, box[3] + GAP)) if box else image


if __name__ == "__main__":
    typer.run(main)
