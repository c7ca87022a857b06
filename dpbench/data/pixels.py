"""Decoding, resizing and recolouring of uint8 images."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from threading import Lock
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from dpbench.core.errors import DataError, reason

Mode = Literal["L", "RGB"]
MODE: dict[int, Mode] = {1: "L", 3: "RGB"}
"""Number of channels -> PIL mode."""
LARGE_PIXELS = 2**24
"""Larger images are decoded one at a time, which bounds memory. Pillow refuses more than 179 million pixels."""
LARGE = Lock()
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")  # other Pillow formats may run external programs


def decode(content: bytes, name: str, mode: Mode, size: int, prepare: Callable[[Image.Image], Image.Image]) -> Tensor:
    """Decodes an image file and fits it to a square: short side resized (bicubic, antialiased), then centre-cropped.

    Args:
        content: the file's bytes.
        name: name of the file in messages.
        mode: colour ("RGB") or grey ("L", by luminance).
        size: height and width of the result.
        prepare: applied to the decoded image in `mode` before it is resized.

    Returns:
        uint8 [c, size, size].

    Raises:
        DataError: see `read_image`.
    """
    image = read_image(content, name, lambda image: prepare(image.convert(mode)))
    return to_tensor(ImageOps.fit(image, (size, size), method=Image.Resampling.BICUBIC))


def unchanged(image: Image.Image) -> Image.Image:
    """Returns the image unchanged."""
    return image


def read_image(content: bytes, name: str, change: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Decodes an image file in its own mode and size, and applies `change`.

    Images are rotated by their EXIF orientation, 16-bit images are scaled to 8 bits, transparent pixels are blended
    with white, and only the first frame of an animation is used.

    Args:
        content: the file's bytes.
        name: name of the file in messages.
        change: applied to the decoded image, which may have any mode.

    Raises:
        DataError: the file is not an image, or is truncated or damaged; the message names it.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as opened, _turn(opened.width * opened.height):
            opened.load()
            return change(_flat(_eight_bit(ImageOps.exif_transpose(opened), opened.format)))
    except Exception as error:  # decoders raise all kinds of errors for damaged files
        what = "is not an image" if isinstance(error, UnidentifiedImageError) else f"cannot be read ({reason(error)})"
        raise DataError(f"{name} {what}; replace or remove it") from error


def _turn(pixels: int) -> AbstractContextManager[object]:
    return LARGE if pixels > LARGE_PIXELS else nullcontext()


def _eight_bit(image: Image.Image, file_format: str | None) -> Image.Image:
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers")
    if image.mode == "I" and file_format == "TIFF":  # in other formats, "I" holds 16 bits
        raise ValueError("its pixels are 32-bit numbers")
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))


def _flat(image: Image.Image) -> Image.Image:
    if image.mode not in ("RGBA", "LA", "PA") and "transparency" not in image.info:
        return image
    colours = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours)


def to_tensor(image: Image.Image) -> Tensor:
    """A grey or colour picture -> uint8 [1 or 3, h, w]."""
    pixels: NDArray[np.uint8] = np.array(image)
    return torch.from_numpy(pixels.reshape(image.height, image.width, -1)).permute(2, 0, 1).contiguous()


def resize(images: Tensor, size: int) -> Tensor:
    """uint8 [b, c, h, h] -> uint8 [b, c, size, size], bicubic and antialiased, with the same values as Pillow."""
    if images.shape[-1] == size:
        return images
    resized = images.new_empty((*images.shape[:2], size, size))
    for row, image in zip(resized.flatten(0, 1), images.flatten(0, 1), strict=True):
        row[:] = to_tensor(Image.fromarray(image.numpy()).resize((size, size), Image.Resampling.BICUBIC))[0]
    return resized


def to_grey(images: Tensor) -> Tensor:
    """uint8 [b, 3, h, w] -> uint8 [b, 1, h, w] by luminance (ITU-R 601, rounded as in Pillow)."""
    red, green, blue = images.int().unbind(1)
    return ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16).byte()[:, None]


def to_colour(images: Tensor) -> Tensor:
    """uint8 [b, 1, h, w] -> uint8 [b, 3, h, w], the same value in every channel."""
    return images.repeat(1, 3, 1, 1)


RECOLOUR: dict[tuple[int, int], Callable[[Tensor], Tensor]] = {(1, 3): to_colour, (3, 1): to_grey}
"""(input channels, output channels) -> conversion."""
