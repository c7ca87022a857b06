"""Generated images as .npz files."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dpbench.core.errors import DataError
from dpbench.core.specs import DatasetSpec
from dpbench.data.external import generated
from dpbench.data.external.generated import Generated
from dpbench.data.opening import open_generated

GREY = DatasetSpec("digits", 1, 8, 10, 10, ("zero", "one", "two"), True)
COLOUR = DatasetSpec("pets", 3, 8, 10, 10, None, True)
X = np.random.default_rng(0).integers(0, 256, (5, 1, 8, 8)).astype(np.uint8)
RGB = np.random.default_rng(1).integers(0, 256, (5, 3, 8, 8)).astype(np.uint8)
Y = np.array([0, 2, 1, 1, 0])


def save(folder: Path, *arrays: Any, **named: Any) -> Path:
    np.savez_compressed(folder / "set.npz", *arrays, **named)
    return folder / "set.npz"


def pixels(images: Generated) -> np.ndarray:
    return np.concatenate(list(images.parts()))


def labels(images: Generated) -> list[int] | None:
    return None if images.labels is None else images.labels.tolist()


@pytest.mark.parametrize("names", [("x", "y"), ("arr_0", "arr_1"), ("images", "labels"), ("images", "y")])
def test_arrays_are_found_under_the_names_that_programs_write(tmp_path: Path, names: tuple[str, str]) -> None:
    images = open_generated(save(tmp_path, **dict(zip(names, (X, Y), strict=True))), GREY)
    assert np.array_equal(pixels(images), X)
    assert labels(images) == Y.tolist()
    assert images.remarks == ()


@pytest.mark.parametrize("array", [X, X[:, 0], X.transpose(0, 2, 3, 1), X.repeat(3, 1)], ids=lambda a: str(a.shape))
def test_channels_may_stand_first_or_last_or_be_left_out(tmp_path: Path, array: np.ndarray) -> None:
    assert np.array_equal(pixels(open_generated(save(tmp_path, array), GREY)), X)


@pytest.mark.parametrize("array", [RGB, RGB.transpose(0, 2, 3, 1)], ids=lambda a: str(a.shape))
def test_colours_stay_in_place(tmp_path: Path, array: np.ndarray) -> None:
    assert np.array_equal(pixels(open_generated(save(tmp_path, array), COLOUR)), RGB)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_floats_in_the_unit_interval_are_rounded_and_that_is_said(tmp_path: Path, dtype: Any) -> None:
    images = open_generated(save(tmp_path, (X / 255).astype(dtype)), GREY)
    assert np.array_equal(pixels(images), X)
    assert images.remarks == ("pixels were given as floats in [0, 1] and rounded to 256 levels",)


def test_one_hot_labels_are_class_numbers(tmp_path: Path) -> None:
    assert labels(open_generated(save(tmp_path, X, np.eye(3)[Y]), GREY)) == Y.tolist()


def test_column_of_class_numbers_is_not_one_hot(tmp_path: Path) -> None:
    assert labels(open_generated(save(tmp_path, X, Y[:, None]), GREY)) == Y.tolist()
    assert labels(open_generated(save(tmp_path, X, np.ones((5, 1), dtype=int)), GREY)) == [1] * 5


def test_labels_are_left_out_where_the_dataset_has_no_classes_and_that_is_said(tmp_path: Path) -> None:
    images = open_generated(save(tmp_path, RGB, Y), COLOUR)
    assert images.labels is None
    assert images.remarks == ("labels were ignored, as pets has no classes",)


def test_other_arrays_are_left_out_and_that_is_said(tmp_path: Path) -> None:
    images = open_generated(save(tmp_path, x=X, z=X, noise=X), GREY)
    assert images.labels is None
    assert images.remarks == ("ignored arrays: noise, z",)


def test_images_come_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generated, "PART_BYTES", 2 * 64)
    parts = list(open_generated(save(tmp_path, X), GREY).parts())
    assert [len(part) for part in parts] == [2, 2, 1]
    assert np.array_equal(np.concatenate(parts), X)


SQUARE = np.zeros((4, 3, 3, 3), np.uint8)
BAD: list[tuple[dict[str, Any], str]] = [
    ({"x": X / 127.5 - 1}, r"set\.npz \(x\) ranges from -1 to .*; floats must be in \[0, 1\] \(use x / 2 \+ 0\.5"),
    ({"x": X.astype(np.float32)}, r"ranges from .* to 25\d; floats must be in \[0, 1\]"),
    ({"x": np.full(X.shape, np.nan)}, "has values that are NaN"),
    ({"x": X.astype(np.int64)}, "is int64; save images as uint8 from 0 to 255, or as floats"),
    ({"x": SQUARE}, r"is \[4, 3, 3, 3\], where channels may be first or last; save \[n, h, w\]"),
    ({"x": X.reshape(5, 64)}, r"is \[5, 64\]; save images as \[n, h, w\]"),
    ({"x": np.zeros((5, 4, 8, 8), np.uint8)}, r"is \[5, 4, 8, 8\]; save images as"),
    ({"x": X[:0]}, "has no images"),
    (
        {"x": np.zeros((5, 16, 16), np.uint8)},
        r"image 0 of .*set\.npz \(x\) has 16x16 pixels, but digits has 8x8; .*--resol",
    ),
    ({"x": np.concatenate([X.repeat(3, 1), RGB])}, r"image 5 of .*set\.npz \(x\) has colours, but digits is grey"),
    ({"x": np.asfortranarray(X)}, "is in Fortran order; save np.ascontiguousarray"),
    ({"x": np.array([X, None], dtype=object)}, "is object; save images"),
    ({"x": X, "images": X}, r"set\.npz has x, images; keep one of them"),
    ({"pixels": X}, r"set\.npz has pixels, but no images called x or arr_0 or images"),
    ({"x": X, "y": Y[:3]}, r"^the labels of .*set\.npz \(y\) are 3, but there are 5 images"),
    ({"x": X, "labels": Y[:3]}, r"^the labels of .*set\.npz \(labels\) are 3"),
    ({"x": X, "y": Y + 1}, r"range from 1 to 3, but the classes of digits are 0 to 2"),
    ({"x": X, "y": Y - 1}, r"range from -1 to 1, but the classes of digits"),
    ({"x": X, "y": Y / 2}, r"are float64 \[5\]; give class numbers \[n\] as integers, or one-hot \[n, 3\]"),
    ({"x": X, "y": np.eye(3)[Y] * 0.9}, r"are \[5, 3\], but not one-hot"),
    ({"x": X, "y": np.ones((5, 3))}, r"are \[5, 3\], but not one-hot"),
    ({"x": X, "y": np.eye(4)[Y]}, r"are float64 \[5, 4\]; give class numbers \[n\], or one-hot \[n, 3\]"),
    ({"x": X, "y": np.ones((5, 1))}, r"are float64 \[5, 1\]; give class numbers \[n\] as integers"),
    ({"x": X, "y": Y[:, None] + 1}, r"range from 1 to 3, but the classes of digits are 0 to 2"),
]


@pytest.mark.parametrize(
    ("arrays", "message"), BAD, ids=lambda value: str(value)[:30] if isinstance(value, str) else ""
)
def test_what_cannot_be_read_for_sure_is_refused(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        pixels(open_generated(save(tmp_path, **arrays), GREY))
    assert "\n" not in str(error.value)


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"set\.npz cannot be read \(.*allow_pickle"):
        open_generated(save(tmp_path, x=X, y=np.array([print] * 5, dtype=object)), GREY)


@pytest.mark.parametrize("keep", [0, 30, -40])
def test_a_truncated_file_is_named(tmp_path: Path, keep: int) -> None:
    path = save(tmp_path, X)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"set\.npz cannot be read \(.*\); write it again with np.savez"):
        pixels(open_generated(path, GREY))


def test_a_damaged_array_is_noticed(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", X)
    path = tmp_path / "set.npz"
    content = bytearray(path.read_bytes())
    content[content.index(X.tobytes()) + 7] ^= 255
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"set\.npz cannot be read \(Bad CRC"):
        pixels(open_generated(path, GREY))


@pytest.mark.parametrize("shape", [(2**40, 8, 8), (5, 2**20, 2**20)])
def test_shape_that_the_array_does_not_hold_is_noticed_before_unpacking(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with zipfile.ZipFile(tmp_path / "set.npz", "w") as archive, archive.open("x.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        file.write(bytes(320))
    with pytest.raises(DataError, match=r"set\.npz cannot be read \(x\.npy has 320 bytes instead of"):
        open_generated(tmp_path / "set.npz", GREY)


def test_labels_of_another_number_are_noticed_before_unpacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path, X, np.zeros((10**5, 3)))
    monkeypatch.setattr(np, "load", lambda *_: pytest.fail("labels were unpacked"))
    with pytest.raises(DataError, match="are 100000, but there are 5 images"):
        open_generated(path, GREY)


def test_an_array_that_ends_early_is_noticed(tmp_path: Path) -> None:
    with zipfile.ZipFile(save(tmp_path, X)) as archive:
        content = archive.read("arr_0.npy")
    with zipfile.ZipFile(tmp_path / "set.npz", "w") as archive:
        archive.writestr("arr_0.npy", content[:-10])
    with pytest.raises(DataError, match=r"set\.npz cannot be read \("):
        pixels(open_generated(tmp_path / "set.npz", GREY))
