"""Generated images as folders and zips."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dpbench.core.errors import DataError
from dpbench.core.specs import DatasetSpec
from dpbench.data.external import generated
from dpbench.data.external.generated import Generated
from dpbench.data.opening import open_generated

GREY = DatasetSpec("digits", 1, 8, 10, 10, ("zero", "one"), True)
COLOUR = DatasetSpec("pets", 3, 8, 10, 10, ("cat", "dog"), True)
PLAIN = DatasetSpec("plain", 1, 8, 10, 10, None, True)


def paint(path: Path, shade: int, mode: str = "L", size: tuple[int, int] = (8, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, shade).convert(mode).save(path)


def pixels(images: Generated) -> np.ndarray:
    return np.concatenate(list(images.parts()))


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """Two ones of shades 1 and 2, three zeros of shades 3 to 5."""
    for shade, name in enumerate(["one/a", "one/b", "zero/a", "zero/b", "zero/c"], start=1):
        paint(tmp_path / "digits" / f"{name}.png", shade)
    return tmp_path / "digits"


def pack(folder: Path, around: str = "") -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*.*")):
            archive.write(file, around + str(file.relative_to(folder)))
    return path


def test_folders_give_labels_in_the_order_of_the_dataset_s_classes(digits: Path) -> None:
    images = open_generated(digits, GREY)
    assert pixels(images)[:, 0, 0, 0].tolist() == [1, 2, 3, 4, 5]
    assert images.labels is not None
    assert images.labels.tolist() == [1, 1, 0, 0, 0]
    assert images.remarks == ()


@pytest.mark.parametrize("around", ["", "out/samples/"])
def test_a_zip_is_read_as_its_folder_is_and_folders_around_it_do_not_count(digits: Path, around: str) -> None:
    images, packed = open_generated(digits, GREY), open_generated(pack(digits, around), GREY)
    assert np.array_equal(pixels(images), pixels(packed))
    assert packed.labels is not None
    assert packed.labels.tolist() == [1, 1, 0, 0, 0]


def test_names_in_a_zip_may_have_backslashes(digits: Path) -> None:
    path = digits.parent / "windows.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(digits.rglob("*.png")):
            name = zipfile.ZipInfo(str(file.relative_to(digits)).replace("/", "\\"))
            archive.writestr(name, file.read_bytes())
    images = open_generated(path, GREY)
    assert images.labels is not None
    assert images.labels.tolist() == [1, 1, 0, 0, 0]


def test_the_only_class_folder_is_not_stepped_into(tmp_path: Path) -> None:
    paint(tmp_path / "set/one/a.png", 1)
    images = open_generated(tmp_path / "set", GREY)
    assert images.labels is not None
    assert images.labels.tolist() == [1]


def test_images_without_folders_have_no_labels(tmp_path: Path) -> None:
    paint(tmp_path / "set/deep/a.png", 1)
    assert open_generated(tmp_path / "set", GREY).labels is None


def test_folders_mean_nothing_where_the_dataset_has_no_classes(digits: Path) -> None:
    paint(digits / "loose.png", 9)
    images = open_generated(digits, PLAIN)
    assert images.labels is None
    assert pixels(images).shape == (6, 1, 8, 8)


def test_an_unknown_class_folder_is_named_with_the_nearest(digits: Path) -> None:
    paint(digits / "zeroo/a.png", 1)
    with pytest.raises(DataError, match=r"unknown class folder 'zeroo'; did you mean zero\? \(digits; below .*digits"):
        open_generated(digits, GREY)


def test_a_loose_image_beside_class_folders_is_named(digits: Path) -> None:
    paint(digits / "loose.png", 9)
    with pytest.raises(DataError, match=r"digits/loose\.png is next to class folders; move it"):
        open_generated(digits, GREY)


def test_equal_channels_are_grey_and_real_colours_are_refused(digits: Path) -> None:
    paint(digits / "one/a.png", 1, "RGB")
    paint(digits / "one/b.png", 2, "RGBA")
    assert pixels(open_generated(digits, GREY))[:, 0, 0, 0].tolist() == [1, 2, 3, 4, 5]
    Image.new("RGB", (8, 8), (1, 2, 3)).save(digits / "zero/b.png")
    with pytest.raises(DataError, match=r"digits/zero/b\.png has colours, but digits is grey"):
        pixels(open_generated(digits, GREY))


def test_grey_images_are_repeated_for_a_colour_dataset_and_that_is_said(tmp_path: Path) -> None:
    paint(tmp_path / "set/a.png", 7)
    images = open_generated(tmp_path / "set", COLOUR)
    assert pixels(images)[0, :, 0, 0].tolist() == [7, 7, 7]
    assert images.remarks == ("grey images were repeated in the three channels of pets",)
    paint(tmp_path / "set/a.png", 7, "RGB")
    images = open_generated(tmp_path / "set", COLOUR)
    assert pixels(images)[0, :, 0, 0].tolist() == [7, 7, 7]
    assert images.remarks == ()


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (
            (16, 16),
            r"zero/b\.png has 16x16 pixels, but digits has 8x8; .*--resolution 16 opens the dataset at that size",
        ),
        ((8, 6), r"zero/b\.png has 8x6 pixels, but digits has 8x8; images are not resized$"),
    ],
)
def test_an_image_of_another_size_is_named_with_both_sizes(digits: Path, size: tuple[int, int], message: str) -> None:
    paint(digits / "zero/b.png", 1, size=size)
    with pytest.raises(DataError, match=message):
        pixels(open_generated(digits, GREY))


def test_a_truncated_image_is_named(digits: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 8)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "png")
    (digits / "zero/b.png").write_bytes(buffer.getvalue()[:60])
    with pytest.raises(DataError, match=r"zero/b\.png (cannot be read|is not an image).*; replace or remove it"):
        pixels(open_generated(digits, GREY))


def test_a_damaged_zip_is_named(digits: Path) -> None:
    path = pack(digits)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"digits\.zip is not an intact zip archive"):
        open_generated(path, GREY)


@pytest.mark.parametrize(
    ("name", "message"), [("nothing", "nothing does not exist; give a folder"), ("empty", "empty has no images")]
)
def test_an_empty_or_missing_set_is_one_line(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=message):
        open_generated(tmp_path / name, GREY)


def test_what_is_no_image_is_left_out_and_that_is_said(digits: Path) -> None:
    for name in ("log.txt", "zero/notes.md"):
        (digits / name).write_text("hello")
    images = open_generated(digits, GREY)
    assert len(images) == 5
    assert images.remarks == ("ignored files that are not images: log.txt, zero/notes.md",)


def test_images_come_in_parts(digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pixels(open_generated(digits, GREY))
    monkeypatch.setattr(generated, "PART_BYTES", 2 * 64)
    parts = list(open_generated(digits, GREY).parts())
    assert [len(part) for part in parts] == [2, 2, 1]
    assert np.array_equal(np.concatenate(parts), whole)
    monkeypatch.setattr(generated, "MOST_PARTS", 2)
    assert [len(part) for part in open_generated(digits, GREY).parts()] == [3, 2]
