"""The folder of coarse images for `dpbench refine`: square images of one size, grey or colour."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from dpbench.core.errors import DataError
from dpbench.core.names import check_name
from dpbench.core.progress import Display, track
from dpbench.data.image_files import IMAGE_TYPES
from dpbench.data.pixels import FORMATS, decode


@dataclass(frozen=True)
class CoarseImages:
    """Coarse images in the order of their file names.

    Attributes:
        stems: file names without suffix.
        pixels: uint8 [n, c, side, side]; one channel if all images are grey, three otherwise.
        grey: bool [n]; whether an image's channels are equal.
    """

    stems: list[str]
    pixels: Tensor
    grey: Tensor

    def __len__(self) -> int:
        return len(self.stems)

    @property
    def channels(self) -> int:
        """Number of channels, 1 or 3."""
        return self.pixels.shape[1]

    @property
    def side(self) -> int:
        """Height and width in pixels."""
        return self.pixels.shape[-1]


def read_coarse_images(folder: Path, display: Display) -> CoarseImages:
    """All images in `folder`, without its sub-folders.

    Raises:
        DataError: the folder is missing or has no images, two images have the same stem, a name cannot be printed on
            one line, or an image is damaged, not square, or not of the first one's size; the message names the file.
    """
    paths = _image_paths(folder, display)
    side = _width(paths[0])
    images = torch.stack([_read(path, side, paths[0]) for path in track(display, paths, "reading", len(paths))])
    grey = (images == images[:, :1]).flatten(1).all(1)
    return CoarseImages([path.stem for path in paths], images[:, :1] if grey.all() else images, grey)


def _image_paths(folder: Path, display: Display) -> list[Path]:
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"cannot read {folder} ({error.strerror}); give a folder of images") from error
    paths = [path for path in files if path.suffix.lower() in IMAGE_TYPES]
    others = [path for path in files if path not in set(paths)]
    if not paths:
        raise DataError(f"{folder} has no images ({', '.join(IMAGE_TYPES)}); give a folder that has some")
    if others:
        names = ", ".join(path.name for path in others[:3])
        display.say(f"ignored files that are not images: {names}{' ...' * (len(others) > 3)}")
    by_stem: dict[str, Path] = {}
    for path in paths:
        check_name(path.name, "file")
        if path.stem in by_stem:
            raise DataError(f"{by_stem[path.stem]} and {path} would both become {path.stem}.png; rename one of them")
        by_stem[path.stem] = path
    return paths


def _width(path: Path) -> int:
    with contextlib.suppress(Exception), Image.open(path, formats=FORMATS) as image:
        return image.width
    return 1  # `decode` will report the error


def _read(path: Path, side: int, first: Path) -> Tensor:
    """uint8 [3, side, side]."""

    def check_size(image: Image.Image) -> Image.Image:
        if image.width != image.height:
            raise ValueError(f"it has {image.width}x{image.height} pixels and is not square")
        if image.width != side:
            raise ValueError(f"it has {image.width}x{image.height} pixels, but {first.name} {side}x{side}")
        return image

    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror}); replace or remove it") from error
    return decode(content, str(path), "RGB", side, check_size)
