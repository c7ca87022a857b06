"""`dpbench refine` as a function: a detail stage for a folder of coarse images.

import dpbench
dpbench.refine("residual", "coarse/", "fine/", scale=4)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from dpbench.benchmark.public_choice import candidates
from dpbench.benchmark.request import RunRequest
from dpbench.benchmark.session import Session
from dpbench.core.config import build
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.errors import ConfigError, DataError, DpbenchError
from dpbench.core.files import write_atomic
from dpbench.core.folders import expanded
from dpbench.core.progress import Display
from dpbench.core.refiner import Refiner
from dpbench.core.registries import REFINERS
from dpbench.core.specs import DatasetSpec
from dpbench.data.arrays import ArrayDataset
from dpbench.data.external.coarse_images import CoarseImages, read_coarse_images
from dpbench.data.opening import open_public
from dpbench.data.pixels import to_grey
from dpbench.data.tiles import Tiles
from dpbench.models.image_range import to_uint8, to_unit
from dpbench.refiners.degrade import BlockMeans
from dpbench.results.best_effort import best_effort
from dpbench.results.comparison_sheet import MOST, Pair, to_picture, write_sheet

NOISE = 0.05
"""Noise on the training inputs, for images in [-1, 1]."""

TILE = 64
"""Larger public images are cut into tiles of this size for training, which bounds the cost of training."""

PIXELS_AT_ONCE = 2**22
"""Pixels of full images per call of a refiner."""


class Refined(NamedTuple):
    """The files that `refine` wrote; no sheet if it could not be drawn."""

    images: list[Path]
    sheet: Path | None


def refine(
    refiner: str,
    input: Path | str,
    out: Path | str,
    scale: int = 4,
    *,
    seed: int = 0,
    display: Display | None = None,
    **options: Any,
) -> Refined:
    """Adds detail to a folder of coarse images and writes OUT/<stem>.png for each, and a sheet to compare them on.

    The refiner is trained on public images (once: the result is cached) to undo block means of `scale` x `scale` pixels
    with a little noise. A refiner that needs no training, such as `pretrained`, opens no public source. The same call
    returns the same images on the same machine. If all images are grey, the results are grey; a grey image among colour
    images is refined in colour, and only its luminance is kept.

    Args:
        refiner: name of a registered refiner.
        input: folder of square images of one size; `data.image_files.IMAGE_TYPES` lists the file types.
        out: folder for the results, different from `input`; files of the same names are replaced.
        scale: how many times larger, a power of two.
        seed: the seed of the refiner's random draws.
        display: where progress shows.
        options: fields of `RunRequest`: public (the public source), settings (of the refiner), data, download, device,
            precision, plugins.

    Returns:
        The paths of the images, in the order of their names, and of the sheet.

    Raises:
        DpbenchError: the request or the images are wrong (then nothing has been written), or OUT cannot be written
            (then every file in it is whole).
    """
    request = RunRequest.of(out=out, **options)
    request.load_plugins()
    return refine_folder(refiner, Path(input), scale, request, seed, display)


def refine_folder(
    refiner: str, input: Path, scale: int, request: RunRequest, seed: int = 0, display: Display | None = None
) -> Refined:
    """`refine` for a request."""
    levels, out, input = _levels(scale), request.out, expanded(input)
    plugin = _configured(refiner, request.settings)
    plugin.weights_of(plugin.config)  # raises an error if weights are missing, before any work
    if input.resolve() == out.resolve():
        raise DpbenchError(f"{out} is the folder of coarse images; give another one with --out to keep them")
    with Session.open(request, display, writes=True) as session:
        coarse = read_coarse_images(input, session.display)
        size = coarse.side * scale
        like = DatasetSpec(f"folder:{input}", coarse.channels, size, len(coarse), 0, None, public_benchmark=False)
        images = _public(request, like, scale) if plugin.uses_public else _no_images(like)
        with session.phase("refine", seed) as run:
            plugin.prepare(images, BlockMeans(levels, NOISE), run)
            written: list[Path] = []
            pairs: list[Pair] = []
            with session.display.phase("refining", len(coarse)) as advance:
                for pair in _refined(plugin, coarse, size, run):
                    written.append(out / f"{pair.name}.png")
                    _write(written[-1], pair.after)
                    if len(pairs) < MOST**2:
                        pairs.append(pair)
                    advance()
    sheet = out / _sheet_name(coarse.stems)
    source = f", detail learned from {request.public}" if plugin.uses_public else ""
    title = f"{refiner}: {coarse.side}×{coarse.side} → {size}×{size}{source}"
    with best_effort(sheet):
        write_sheet(sheet, pairs, title)
        return Refined(written, sheet)
    return Refined(written, None)


def _levels(scale: int) -> int:
    if scale < 2 or scale & (scale - 1):
        raise ConfigError(f"scale must be a power of two, e.g. 2, 4 or 8, not {scale}")
    return scale.bit_length() - 1


def _configured(name: str, settings: Mapping[str, Any]) -> Refiner[Any]:
    plugin = REFINERS.get(name)
    try:
        return plugin(build(plugin.Config, settings))
    except DpbenchError as error:
        raise ConfigError(f"refiner '{name}': {error}") from error


def _public(request: RunRequest, like: DatasetSpec, scale: int) -> ImageDataset:
    """The public source in the shape of the full images, in tiles if they are large."""
    name, size = request.public, like.resolution
    if candidates(name):
        raise ConfigError(f"no private images choose here between the sources of --public {name}; give one of them")
    try:
        public = open_public(name, like, request.data_options)
    except DataError as error:
        raise DataError(f"public source '{name}' at {size}x{size} pixels: {error}") from error
    tile = max(TILE, scale)
    return Tiles(public, tile) if size > tile else public


def _no_images(like: DatasetSpec) -> ImageDataset:
    return ArrayDataset(like, np.empty((0, *like.shape), np.uint8), None)


def _refined(refiner: Refiner[Any], coarse: CoarseImages, size: int, run: RunContext) -> Iterator[Pair]:
    """Every image before and after refinement; grey images have one channel."""
    rows = max(1, PIXELS_AT_ONCE // size**2)
    for start in range(0, len(coarse), rows):
        part = slice(start, start + rows)
        before = coarse.pixels[part]
        after = to_uint8(refiner(to_unit(before).to(run.device), size, run)).cpu()
        for stem, grey, *images in zip(coarse.stems[part], coarse.grey[part], before, after, strict=True):
            yield Pair(stem, *(_grey(image) if grey else image for image in images))


def _grey(image: Tensor) -> Tensor:
    """uint8 [1 or 3, h, w] -> [1, h, w]."""
    return to_grey(image[None])[0] if len(image) == 3 else image


def _write(path: Path, image: Tensor) -> None:
    picture = to_picture(image)
    write_atomic(path, lambda temporary: picture.save(temporary, format="png"))


def _sheet_name(stems: list[str]) -> str:
    """sheet.png, or sheet-2.png and so on if an image has that name, ignoring case."""
    taken = {stem.casefold() for stem in stems}
    names = ("sheet" if number == 1 else f"sheet-{number}" for number in count(1))
    return f"{next(name for name in names if name not in taken)}.png"
