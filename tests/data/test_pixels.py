"""Decoding and recolouring."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from dpbench.core.errors import DataError
from dpbench.data import pixels
from dpbench.data.pixels import decode, resize, to_colour, to_grey

PHOTO = np.random.default_rng(0).integers(0, 256, (24, 36, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str = "png", **how) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **how)
    return stream.getvalue()


def decoded(content: bytes, mode="RGB", size=24) -> np.ndarray:
    return decode(content, "photo", mode, size, lambda image: image).numpy()


@pytest.mark.parametrize("kind", ["png", "bmp", "tiff", "gif", "jpeg", "webp"])
def test_every_format_is_read(kind):
    smooth = Image.fromarray(PHOTO[:3, :3]).resize((24, 24), Image.Resampling.BILINEAR)
    found = decoded(encoded(smooth, kind)).transpose(1, 2, 0)
    assert np.abs(found.astype(int) - np.array(smooth).astype(int)).mean() < 12


def test_the_centre_is_cropped_at_full_size():
    assert np.array_equal(decoded(encoded(Image.fromarray(PHOTO))), PHOTO[:, 6:30].transpose(2, 0, 1))
    assert decoded(encoded(Image.fromarray(PHOTO)), size=7).shape == (3, 7, 7)


def test_grey_is_luminance():
    expected = np.array(Image.fromarray(PHOTO[:, :24]).convert("L"))
    assert np.array_equal(decoded(encoded(Image.fromarray(PHOTO[:, :24])), "L")[0], expected)


def test_sixteen_bits_become_eight():
    deep = Image.fromarray((PHOTO[:, :24, 0].astype(np.uint16) << 8) + 99)
    assert np.array_equal(decoded(encoded(deep), "L")[0], PHOTO[:, :24, 0])


@pytest.mark.parametrize(("dtype", "found"), [(np.int32, "32-bit"), (np.float32, "floating-point")])
def test_numbers_of_unknown_range_are_refused(dtype, found):
    with pytest.raises(DataError, match=f"photo cannot be read .its pixels are {found}"):
        decoded(encoded(Image.fromarray(np.full((8, 8), 67, dtype)), "tiff"), "L")


def test_transparent_pixels_become_white():
    clear = Image.fromarray(np.dstack([PHOTO[:, :24], np.zeros((24, 24), dtype=np.uint8)]))
    assert (decoded(encoded(clear)) == 255).all()
    palette = Image.new("P", (8, 8), 0)
    assert (decoded(encoded(palette, "gif", transparency=0), size=8) == 255).all()


def test_images_are_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by 180°
    upright = decoded(encoded(Image.fromarray(PHOTO[:, :24]), exif=exif))
    assert np.array_equal(upright, PHOTO[::-1, :24][:, ::-1].transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "photo is not an image"),
        (b"plain text", "photo is not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "photo is not an image"),
        (encoded(Image.fromarray(PHOTO))[:700], "photo cannot be read"),
        (encoded(Image.fromarray(PHOTO), "jpeg")[:700], "photo cannot be read"),
        (encoded(Image.fromarray(PHOTO[..., 0].astype(np.float32)), "tiff"), "photo cannot be read .*floating-point"),
    ],
)
def test_files_that_are_no_whole_image_are_named(content, message):
    with pytest.raises(DataError, match=message) as caught:
        decoded(content)
    assert "\n" not in str(caught.value)


def test_a_huge_image_is_refused(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match="photo cannot be read"):
        decoded(encoded(Image.fromarray(PHOTO)))


def test_recolouring_agrees_with_pil():
    images = torch.from_numpy(PHOTO.transpose(2, 0, 1)[None].copy())
    grey = to_grey(images)
    assert np.array_equal(grey[0, 0].numpy(), np.array(Image.fromarray(PHOTO).convert("L")))
    assert torch.equal(to_grey(to_colour(grey)), grey)


def test_resizing_agrees_with_pil_and_keeps_the_form():
    images = torch.from_numpy(np.ascontiguousarray(PHOTO[:24, :24].transpose(2, 0, 1)))[None].repeat(2, 1, 1, 1)
    small = resize(images, 10)
    expected = Image.fromarray(PHOTO[:24, :24]).resize((10, 10), Image.Resampling.BICUBIC)
    assert np.array_equal(small[1].numpy().transpose(1, 2, 0), np.array(expected))
    assert resize(images[:0], 10).shape == (0, 3, 10, 10)
    assert resize(images, 24) is images


@pytest.mark.parametrize(("limit", "alone"), [(16 * 16 - 1, True), (16 * 16, False)])
def test_large_images_are_decoded_one_at_a_time(limit: int, alone: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[bool] = []
    monkeypatch.setattr(pixels, "LARGE_PIXELS", limit)
    content = encoded(Image.new("RGB", (16, 16)))
    pixels.read_image(content, "name", lambda image: held.append(pixels.LARGE.locked()) or image)
    assert held == [alone]
    assert not pixels.LARGE.locked()
